//! What a trace says of a call.

use std::sync::{Arc, Mutex};

use gateway::meter::Outcome;
use gateway::trace::{CallTrace, TraceContext, TraceSink};
use providers::error::ErrorKind;
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, openai, organization, streamed};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Wants the calls that are part of somebody's trace, and remembers them.
#[derive(Default)]
struct Traces(Mutex<Vec<CallTrace>>);

impl Traces {
    fn take(&self) -> Vec<CallTrace> {
        std::mem::take(&mut self.0.lock().expect("a lock"))
    }
}

impl TraceSink for Traces {
    fn wants(&self, context: &TraceContext) -> bool {
        context.parent.is_some_and(|parent| parent.is_sampled)
    }

    fn record(&self, trace: CallTrace) {
        self.0.lock().expect("a lock").push(trace);
    }
}

async fn traced(directive: &str) -> (RunningSimulator, GatewayUnderTest, Arc<Traces>) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let traces = Arc::new(Traces::default());
    let mut workshop =
        Workshop::new().row("primary", "openai", directive, &upstream.openai_base_url());
    workshop.traces = Some(Arc::clone(&traces) as _);
    (upstream, workshop.start().await, traces)
}

#[tokio::test]
async fn a_trace_has_a_span_for_each_stage_and_attempt() {
    let (upstream, gateway, traces) = traced("fault:500:times=1").await;
    for (number, question) in [openai("primary"), streamed(openai("primary"))]
        .iter()
        .enumerate()
    {
        let client = gateway.client(1).with_header("traceparent", PARENT);
        let client = client.with_header("x-run-id", "run-1");
        let answer = client.post("/v1/chat/completions", question);
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status, 200);
        let [trace] = <[CallTrace; 1]>::try_from(traces.take()).expect("one trace");
        assert_eq!(
            trace.context.trace_id.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!((trace.status, trace.outcome), (200, Outcome::Success));
        assert_eq!(trace.caller.map(|(id, _)| id), Some(organization(1)));
        assert_eq!(trace.run_id.as_deref(), Some("run-1"));
        let stages: Vec<&str> = trace.stages.iter().map(|stage| stage.name).collect();
        assert_eq!(
            stages,
            ["authenticate", "ingress", "resolve", "limit", "prepare"]
        );
        let failed = Outcome::Failed(ErrorKind::Server);
        let outcomes: Vec<Outcome> = trace
            .attempts
            .iter()
            .map(|attempt| attempt.outcome)
            .collect();
        let expected: &[Outcome] = match number {
            0 => &[failed, Outcome::Success],
            _ => &[Outcome::Success],
        };
        assert_eq!(outcomes, expected);
        let last = trace.attempts.last().expect("an attempt");
        // A stream at an address of its own is not asked for its usage.
        assert_eq!(last.usage.is_some(), number == 0);
        assert!(upstream.openai_base_url().starts_with(last.origin.as_str()));
        // In order, without overlaps, within the call.
        let times = trace.stages.iter().map(|stage| stage.time);
        let times = times.chain(trace.attempts.iter().map(|attempt| attempt.time));
        let mut end = std::time::Duration::ZERO;
        for time in times {
            assert!(end <= time.from && time.from <= time.to, "{trace:?}");
            end = time.to;
        }
        assert!(end <= trace.duration, "{trace:?}");
    }
}

#[tokio::test]
async fn what_was_refused_is_traced_and_what_nobody_wants_is_not() {
    let (_upstream, gateway, traces) = traced("echo").await;
    let stranger = gateway.stranger().with_header("traceparent", PARENT);
    let question = openai("primary");
    let answer = stranger.post("/v1/chat/completions", &question);
    assert_eq!(answer.await.expect("an answer").status, 401);
    let [trace] = <[CallTrace; 1]>::try_from(traces.take()).expect("one trace");
    assert_eq!((trace.status, trace.outcome), (401, Outcome::Refused));
    assert!(trace.caller.is_none() && trace.attempts.is_empty());

    assert_eq!(gateway.chat(&openai("primary")).await.status, 200);
    assert!(traces.take().is_empty());
}
