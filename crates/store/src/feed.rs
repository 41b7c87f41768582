//! Following the changes of this and other nodes.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::Database;
use crate::changes::{self, CHANNEL, News};
use crate::engine::Engine;

/// How often to look where nothing notifies: the command line writes to the same file as
/// the server, and must be heard within a second.
const SQLITE_POLL: Duration = Duration::from_millis(500);

/// How often to look although PostgreSQL notifies, since a notification can be lost.
const POSTGRES_POLL: Duration = Duration::from_secs(2);

/// How long to wait before trying again what failed.
const PAUSE: Duration = Duration::from_millis(500);

/// How long connecting the listener may take before the next poll goes ahead.
const CONNECT: Duration = Duration::from_secs(1);

/// Follows the changes of this and other nodes.
pub struct ChangeFeed {
    database: Database,
    revision: i64,
    committed_here: watch::Receiver<i64>,
    listener: Listener,
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// This process committed, or PostgreSQL notified, or the listener is new.
    Told,
    /// Nobody said anything for a while.
    Patience,
}

impl ChangeFeed {
    /// Follows what comes after `revision`.
    #[must_use]
    pub fn after(database: &Database, revision: i64) -> Self {
        Self {
            database: database.clone(),
            revision,
            committed_here: database.0.committed.subscribe(),
            listener: Listener::of(database),
        }
    }

    /// Waits for news. Survives a database outage: it keeps trying and returns once
    /// there is news again. Cancel-safe.
    pub async fn next(&mut self) -> News {
        let mut woken = Woken::Told;
        loop {
            match changes::since(&self.database, self.revision).await {
                Ok(Some(news)) => {
                    if woken == Woken::Patience {
                        self.listener.distrust();
                    }
                    let (News::Changes { revision, .. } | News::Everything { revision }) = news;
                    self.revision = revision;
                    return news;
                }
                Ok(None) => woken = self.listener.wait(&mut self.committed_here).await,
                Err(error) => {
                    tracing::debug!(%error, "the change feed cannot read");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// What makes a wait shorter than the poll.
enum Listener {
    /// SQLite tells nobody.
    Absent,
    /// A connection of its own that listens, while it lasts.
    Postgres {
        options: Box<PgConnectOptions>,
        connection: Option<PgListener>,
    },
}

impl Listener {
    fn of(database: &Database) -> Self {
        let options = match database.0.engine {
            Engine::Sqlite => None,
            Engine::Postgres => PgConnectOptions::try_from(&database.0.connect_options).ok(),
        };
        options.map_or(Self::Absent, |options| Self::Postgres {
            options: Box::new(options.application_name("quartermaster-changes")),
            connection: None,
        })
    }

    async fn wait(&mut self, committed_here: &mut watch::Receiver<i64>) -> Woken {
        let Self::Postgres {
            options,
            connection,
        } = self
        else {
            return told(committed_here, SQLITE_POLL).await;
        };
        let Some(listener) = connection else {
            *connection = listen(options).await;
            if connection.is_some() {
                // What was committed before it listened is still to be read.
                return Woken::Told;
            }
            return told(committed_here, POSTGRES_POLL).await;
        };
        let heard = tokio::select! {
            heard = listener.try_recv() => heard,
            woken = told(committed_here, POSTGRES_POLL) => return woken,
        };
        match heard {
            // Several at once are one reason to look. None is a reason too: the connection
            // was lost and made again, and what was said meanwhile went unheard.
            Ok(_) => while listener.next_buffered().is_some() {},
            Err(error) => {
                tracing::debug!(%error, "the change feed's listener is gone");
                *connection = None;
            }
        }
        Woken::Told
    }

    /// The poll found what the listener did not hear: its connection may be a dead one
    /// that nobody closed, as behind a firewall that forgot it.
    fn distrust(&mut self) {
        if let Self::Postgres { connection, .. } = self {
            *connection = None;
        }
    }
}

/// Waits for a commit of this process, at most `patience`.
async fn told(committed_here: &mut watch::Receiver<i64>, patience: Duration) -> Woken {
    match timeout(patience, committed_here.changed()).await {
        Ok(_) => Woken::Told,
        Err(_) => Woken::Patience,
    }
}

async fn listen(options: &PgConnectOptions) -> Option<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.clone());
    let listening = timeout(CONNECT, async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        Ok::<_, sqlx::Error>(listener)
    });
    match listening.await {
        Ok(Ok(listener)) => Some(listener),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the change feed cannot listen");
            None
        }
        Err(_) => None,
    }
}
