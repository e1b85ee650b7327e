using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers.Bpe;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>The tokenizer of a model, whichever file it came from. <see cref="TokenizerLoader"/> makes it.</summary>
public sealed class ModelTokenizer : ITokenizer
{
    /// <summary>The longest text that is encoded, in UTF-16 units: more than fits the context of any Llama 3 model.</summary>
    public const int MaximumTextLength = 1 << 24;

    private readonly Vocabulary _vocabulary;
    private readonly ITextEncoder _encoder;
    private readonly Llama3ChatFormat? _chatFormat;

    internal ModelTokenizer(Vocabulary vocabulary, ITextEncoder encoder, TokenizerTraits traits)
    {
        _vocabulary = vocabulary;
        _encoder = encoder;
        _chatFormat = Llama3ChatFormat.TryCreate(vocabulary.Special, EncodeText);
        StartToken = traits.StartToken;
        EndTokens = traits.EndTokens;
        StripsLeadingSpace = traits.StripsLeadingSpace;
    }

    /// <inheritdoc/>
    public int VocabularySize => _vocabulary.Size;

    /// <inheritdoc/>
    public bool HasChatFormat => _chatFormat is not null;

    /// <inheritdoc/>
    public IReadOnlySet<int> EndTokens { get; }

    /// <summary>The token that <see cref="Encode"/> puts before text; null if the model has none.</summary>
    public int? StartToken { get; }

    /// <summary>
    /// Whether encoding puts a space before a text, so that decoding a text from its first token takes one away (SentencePiece
    /// vocabularies). Text that continues a prompt keeps its space: see <see cref="TextStream"/>.
    /// </summary>
    public bool StripsLeadingSpace { get; }

    /// <summary>The special tokens by name.</summary>
    public IReadOnlyDictionary<string, int> SpecialTokens => _vocabulary.Special;

    /// <inheritdoc/>
    public int[] Encode(Prompt prompt) => prompt switch
    {
        Prompt.Text text => EncodePrompt(text),
        Prompt.Tokens tokens => Validated(tokens.Ids),
        Prompt.Chat chat when _chatFormat is not null => _chatFormat.Encode(chat.Messages),
        Prompt.Chat => throw new PromptException(
            "This model has no chat format: its vocabulary lacks the Llama 3 header tokens. Send a text prompt instead."),
        _ => throw new PromptException("The request has no prompt."),
    };

    /// <summary>Encodes plain text, without a start token; special tokens that it spells out stay text.</summary>
    /// <exception cref="PromptException">The text is not valid Unicode, or too long.</exception>
    public int[] EncodeText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokens = new List<int>();
        AppendText(text, tokens);
        return [.. tokens];
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> DecodeBytes(int token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(token);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, VocabularySize);
        return _vocabulary.Bytes(token);
    }

    private int[] EncodePrompt(Prompt.Text prompt)
    {
        if (string.IsNullOrEmpty(prompt.Value))
            throw new PromptException("The prompt is empty.");

        var tokens = new List<int>();
        if (StartToken is { } start)
            tokens.Add(start);
        AppendText(prompt.Value, tokens);
        return [.. tokens];
    }

    private void AppendText(string text, List<int> tokens)
    {
        if (text.Length > MaximumTextLength)
            throw new PromptException($"The text has {text.Length} characters; at most {MaximumTextLength} are encoded.");

        RequireValidUnicode(text);
        _encoder.Encode(text, tokens);
    }

    private static void RequireValidUnicode(ReadOnlySpan<char> text)
    {
        for (int index; (index = text.IndexOfAnyInRange('\uD800', '\uDFFF')) >= 0; text = text[(index + 2)..])
        {
            if (index + 1 == text.Length || !char.IsSurrogatePair(text[index], text[index + 1]))
            {
                throw new PromptException(
                    $"The text is not valid Unicode: it has U+{(int)text[index]:X4}, half a surrogate pair, by itself.");
            }
        }
    }

    private int[] Validated(IReadOnlyList<int> tokens)
    {
        if (tokens is null or { Count: 0 })
            throw new PromptException("The prompt has no tokens.");

        for (int index = 0; index < tokens.Count; index++)
        {
            if (tokens[index] < 0 || tokens[index] >= VocabularySize)
            {
                throw new PromptException(
                    $"Token {tokens[index]} at index {index} is outside this model's vocabulary, 0 to {VocabularySize - 1}.");
            }
        }

        return [.. tokens];
    }
}

/// <summary>What a model's files say of its tokenizer beside the vocabulary.</summary>
internal sealed record TokenizerTraits(int? StartToken, IReadOnlySet<int> EndTokens, bool StripsLeadingSpace);
