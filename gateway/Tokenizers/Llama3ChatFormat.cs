using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>
/// Llama 3's chat format: the start token, then every message as
/// <c>&lt;|start_header_id|&gt;role&lt;|end_header_id|&gt;\n\ncontent&lt;|eot_id|&gt;</c> with the content trimmed, then the
/// header of the assistant's turn. It is written here because a file's own template is a program from whoever made the file,
/// and never run. The date preamble and the tool instructions of Llama 3.1's template are no part of it: a client that wants
/// them writes a system message. Headers and contents are encoded as plain text, so that no content can close its turn.
/// </summary>
public sealed class Llama3ChatFormat
{
    private readonly int _beginOfText;
    private readonly int _startHeader;
    private readonly int _endHeader;
    private readonly int _endOfTurn;
    private readonly Func<string, int[]> _encodeText;

    private Llama3ChatFormat(int beginOfText, int startHeader, int endHeader, int endOfTurn, Func<string, int[]> encodeText)
    {
        _beginOfText = beginOfText;
        _startHeader = startHeader;
        _endHeader = endHeader;
        _endOfTurn = endOfTurn;
        _encodeText = encodeText;
    }

    /// <summary>The format over a model's special tokens; null if it lacks one of them.</summary>
    /// <param name="special">The model's special tokens by name.</param>
    /// <param name="encodeText">Encodes plain text without a start token.</param>
    public static Llama3ChatFormat? TryCreate(IReadOnlyDictionary<string, int> special, Func<string, int[]> encodeText)
    {
        ArgumentNullException.ThrowIfNull(special);
        ArgumentNullException.ThrowIfNull(encodeText);
        return special.TryGetValue(Llama3SpecialTokens.BeginOfText, out int beginOfText)
            && special.TryGetValue(Llama3SpecialTokens.StartHeader, out int startHeader)
            && special.TryGetValue(Llama3SpecialTokens.EndHeader, out int endHeader)
            && special.TryGetValue(Llama3SpecialTokens.EndOfTurn, out int endOfTurn)
            ? new Llama3ChatFormat(beginOfText, startHeader, endHeader, endOfTurn, encodeText)
            : null;
    }

    /// <summary>Frames a conversation, up to the header of the assistant's turn.</summary>
    /// <exception cref="PromptException">There is no message, a role is unknown or a content cannot be encoded.</exception>
    public int[] Encode(IReadOnlyList<ChatMessage> messages)
    {
        if (messages is null or { Count: 0 })
            throw new PromptException("The conversation has no messages.");

        var tokens = new List<int> { _beginOfText };
        for (int index = 0; index < messages.Count; index++)
        {
            (string role, string content) = messages[index];
            if (content is null)
                throw new PromptException($"Message {index} has no content.");
            AppendHeader(HeaderOf(role, index), "\n\n" + Trim(content), tokens);
            tokens.Add(_endOfTurn);
        }

        AppendHeader("assistant", "\n\n", tokens);
        return [.. tokens];
    }

    private void AppendHeader(string header, string text, List<int> tokens)
    {
        tokens.Add(_startHeader);
        tokens.AddRange(_encodeText(header));
        tokens.Add(_endHeader);
        tokens.AddRange(_encodeText(text));
    }

    /// <summary>What the role is called in a header: Llama 3.1 learned to read a tool's output under <c>ipython</c>.</summary>
    private static string HeaderOf(string role, int index) => role switch
    {
        "system" or "user" or "assistant" => role,
        "tool" => "ipython",
        _ => throw new PromptException($"Message {index} has the role '{role}'; the roles are system, user, assistant and tool."),
    };

    /// <summary>Trims as the template's <c>trim</c> does: Python counts four control characters more as white space.</summary>
    private static string Trim(string content)
    {
        int start = 0;
        int end = content.Length;
        while (start < end && IsWhiteSpace(content[start]))
            start++;
        while (end > start && IsWhiteSpace(content[end - 1]))
            end--;
        return content[start..end];

        static bool IsWhiteSpace(char character) => char.IsWhiteSpace(character) || character is >= '\u001C' and <= '\u001F';
    }
}
