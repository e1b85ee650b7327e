namespace Llama3Cluster.Actors.Inference;

/// <summary>What a generation continues.</summary>
public abstract record Prompt
{
    private Prompt()
    {
    }

    /// <summary>Plain text; the start token is put before it.</summary>
    public sealed record Text(string Value) : Prompt;

    /// <summary>Token ids, taken as they are.</summary>
    public sealed record Tokens(IReadOnlyList<int> Ids) : Prompt;

    /// <summary>A conversation, to be framed in the model's chat format.</summary>
    public sealed record Chat(IReadOnlyList<ChatMessage> Messages) : Prompt;
}

/// <summary>One turn of a conversation.</summary>
/// <param name="Role"><c>system</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>.</param>
/// <param name="Content">Its text.</param>
public sealed record ChatMessage(string Role, string Content);
