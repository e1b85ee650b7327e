namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>The special tokens of Llama 3 by name.</summary>
public static class Llama3SpecialTokens
{
    /// <summary>Starts a sequence.</summary>
    public const string BeginOfText = "<|begin_of_text|>";

    /// <summary>Ends a text of a base model.</summary>
    public const string EndOfText = "<|end_of_text|>";

    /// <summary>Starts the header of a message.</summary>
    public const string StartHeader = "<|start_header_id|>";

    /// <summary>Ends the header of a message.</summary>
    public const string EndHeader = "<|end_header_id|>";

    /// <summary>Ends a message that waits for a tool's output.</summary>
    public const string EndOfMessage = "<|eom_id|>";

    /// <summary>Ends a turn.</summary>
    public const string EndOfTurn = "<|eot_id|>";

    /// <summary>The tokens that end a generation wherever a vocabulary has them.</summary>
    public static IReadOnlyList<string> Ends { get; } = [EndOfText, EndOfMessage, EndOfTurn];

    /// <summary>
    /// The 256 special tokens that follow the ranks of Meta's tokenizer.model, which names none of them itself: Llama 3.1's
    /// names in the order of their ids.
    /// </summary>
    public static IReadOnlyList<string> AfterRanks { get; } = CreateAfterRanks();

    /// <summary>Whether a token frames chats or ends generations: never plain text, whatever a file declares it to be.</summary>
    public static bool IsControl(string name) => name is BeginOfText or StartHeader or EndHeader || Ends.Contains(name);

    private static List<string> CreateAfterRanks()
    {
        List<string> names =
        [
            BeginOfText, EndOfText, Reserved(0), Reserved(1), "<|finetune_right_pad_id|>", Reserved(2),
            StartHeader, EndHeader, EndOfMessage, EndOfTurn, "<|python_tag|>",
        ];
        for (int reserved = 3; names.Count < 256; reserved++)
            names.Add(Reserved(reserved));
        return names;

        static string Reserved(int number) => $"<|reserved_special_token_{number}|>";
    }
}
