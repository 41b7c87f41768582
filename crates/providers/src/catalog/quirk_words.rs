//! What each quirk means, for the page of providers.

use super::Quirk;

impl Quirk {
    /// What it means, in a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::O1TemperatureIsOne => "Models `o1…` get `temperature: 1` where none was given.",
            Self::Gpt5TakesNoTemperature => {
                "Models `gpt-5…` get no temperature but 1, unless they chat or do not reason."
            }
            Self::OSeriesDeveloperRole => {
                "Models `o1`, `o3`, … get `developer` messages in place of `system` ones."
            }
            Self::DeveloperRoleIsSystem => "`developer` messages go as `system` ones.",
            Self::NamesAreLeftOut => "The names of speakers are left out.",
            Self::ToolResultsAreText => {
                "What a tool answered in parts goes as one text: the parts as JSON."
            }
            Self::TextPartsAreJoined => "Several parts of text go as one text.",
            Self::AssistantContentIsText => {
                "What the model said goes as one text; anything else of it is a translation loss."
            }
            Self::EmptyTextBesideToolCalls => {
                "A turn that only calls tools has an empty text, not null."
            }
            Self::ReasoningIsSentBack => "The model's earlier thinking goes back to it.",
            Self::ReasoningContentIsSentBack => {
                "The model's earlier thinking goes back to it as `reasoning_content`."
            }
            Self::LoneTextPartIsText => "A text that is the only part goes as a text.",
            Self::RequiredToolChoiceIsAny => "`tool_choice` says `any` for `required`.",
            Self::MaxTokensKeepsItsName => {
                "A request's `max_tokens` keeps its name, but for models `o1…`, `gpt-5…` and the \
                 like, which refuse it."
            }
            Self::ZeroTemperatureIsTiny => "A temperature of 0 goes as 1e-8.",
            Self::StreamHasItsOwnAddress => {
                "Streams have an address of their own, and nothing in the body asks for one."
            }
            Self::ToolChoiceWordIsOption => {
                "`tool_choice` only names a tool; its words go as `tool_choice_option`."
            }
            Self::ToolCallIdsAreNineLetters => {
                "Identifiers of tool calls go as nine letters and digits, hashed where they are not."
            }
            Self::ToolCallsHaveNoType => "Tool calls go without their `type`.",
            Self::ToolResultsAreNamed => "A tool's answer says the tool's name, where it is known.",
            Self::NoTextBesideToolCalls => {
                "A turn that calls tools says nothing else; its text is a translation loss."
            }
            Self::TextPartsAreBare => "Texts of the model and of tools go without further members.",
            Self::ThinkingBlocksAreSentBack => {
                "The model's earlier thinking goes back to it where a block of its content holds it."
            }
        }
    }
}
