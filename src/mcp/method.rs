//! Methods of the protocol, all revisions together.

use std::fmt;

/// A request method. Whether a revision has it is the dialect's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the method of that name")]
pub enum Method {
    Initialize,
    Ping,
    Discover,
    ToolsList,
    ToolsCall,
    ResourcesList,
    ResourceTemplatesList,
    ResourcesRead,
    ResourcesSubscribe,
    ResourcesUnsubscribe,
    PromptsList,
    PromptsGet,
    Complete,
    SetLevel,
    Listen,
    TasksGet,
    TasksResult,
    TasksList,
    TasksUpdate,
    TasksCancel,
    /// Any other word. It is not kept: nothing is decided or recorded by it.
    Unknown,
}

impl Method {
    const NAMES: [(Self, &'static str); 20] = [
        (Self::Initialize, "initialize"),
        (Self::Ping, "ping"),
        (Self::Discover, "server/discover"),
        (Self::ToolsList, "tools/list"),
        (Self::ToolsCall, "tools/call"),
        (Self::ResourcesList, "resources/list"),
        (Self::ResourceTemplatesList, "resources/templates/list"),
        (Self::ResourcesRead, "resources/read"),
        (Self::ResourcesSubscribe, "resources/subscribe"),
        (Self::ResourcesUnsubscribe, "resources/unsubscribe"),
        (Self::PromptsList, "prompts/list"),
        (Self::PromptsGet, "prompts/get"),
        (Self::Complete, "completion/complete"),
        (Self::SetLevel, "logging/setLevel"),
        (Self::Listen, "subscriptions/listen"),
        (Self::TasksGet, "tasks/get"),
        (Self::TasksResult, "tasks/result"),
        (Self::TasksList, "tasks/list"),
        (Self::TasksUpdate, "tasks/update"),
        (Self::TasksCancel, "tasks/cancel"),
    ];

    /// The method a wire name means.
    pub fn parse(name: &str) -> Self {
        Self::NAMES.iter().find(|(_, n)| *n == name).map_or(Self::Unknown, |(m, _)| *m)
    }

    /// The wire name; `unknown` for what is not one.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(m, _)| *m == self).map_or("unknown", |(_, n)| n)
    }

    /// True for requests during which an upstream may ask the client something.
    pub fn asks_back(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }

    /// True for the four lists.
    pub fn is_list(self) -> bool {
        matches!(self, Self::ToolsList | Self::ResourcesList | Self::ResourceTemplatesList | Self::PromptsList)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
