using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// SentencePiece's form of BPE: spaces become U+2581, the text starts with one, merges cross words, and a character that is no
/// token becomes the tokens of its bytes or the unknown token. The normalizer is Microsoft.ML.Tokenizers' own; the rest is
/// not, because its <c>BpeTokenizer</c> knows no byte tokens, and its <c>LlamaTokenizer</c> reads neither tokenizer.json nor GGUF
/// and takes any of several equal merges where SentencePiece takes the leftmost.
/// </summary>
/// <param name="options">The vocabulary and its rules.</param>
internal sealed class SentencePieceEncoder(SentencePieceOptions options) : ITextEncoder
{
    private static readonly SentencePieceNormalizer WithPrefix = Normalizer(addDummyPrefix: true);
    private static readonly SentencePieceNormalizer WithoutPrefix = Normalizer(addDummyPrefix: false);

    public void Encode(string text, List<int> tokens)
    {
        string normalized = Normalize(text);
        int[] symbols = ArrayPool<int>.Shared.Rent(normalized.Length);
        int count = 0;
        foreach (Rune rune in normalized.EnumerateRunes())
            symbols[count++] = options.Characters.TryGetValue(rune, out int token) ? token : ~rune.Value;

        count = new PairMerger(options.Merges).Merge(symbols.AsSpan(0, count));

        bool afterUnknown = false;
        foreach (int symbol in symbols.AsSpan(0, count))
        {
            bool known = symbol >= 0 || TryAddBytes(new Rune(~symbol), tokens);
            if (symbol >= 0)
                tokens.Add(symbol);
            else if (!known && !(afterUnknown && options.FuseUnknown))
                tokens.Add(options.UnknownToken!.Value);
            afterUnknown = !known;
        }

        ArrayPool<int>.Shared.Return(symbols);
    }

    private string Normalize(string text) => options.Prefix switch
    {
        DummyPrefix.Always => WithPrefix.Normalize(text),
        DummyPrefix.IfAbsent when text is not [' ' or SentencePieceOptions.Space, ..] => WithPrefix.Normalize(text),
        _ => WithoutPrefix.Normalize(text),
    };

    private bool TryAddBytes(Rune rune, List<int> tokens)
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes = bytes[..rune.EncodeToUtf8(bytes)];
        foreach (byte value in bytes)
        {
            if (options.ByteTokens[value] < 0)
                return false;
        }

        foreach (byte value in bytes)
            tokens.Add(options.ByteTokens[value]);
        return true;
    }

    private static SentencePieceNormalizer Normalizer(bool addDummyPrefix) => new(
        removeExtraWhiteSpaces: false,
        addDummyPrefix,
        escapeWhiteSpaces: true,
        treatWhitespaceAsSuffix: false,
        specialTokens: null);
}

/// <summary>When a space is put before a text.</summary>
internal enum DummyPrefix
{
    Never,
    Always,
    IfAbsent,
}

/// <summary>What a <see cref="SentencePieceEncoder"/> needs of a vocabulary.</summary>
internal sealed record SentencePieceOptions
{
    /// <summary>The character that stands for a space.</summary>
    public const char Space = '\u2581';

    /// <summary>Tokens of one character.</summary>
    public required IReadOnlyDictionary<Rune, int> Characters { get; init; }

    /// <summary>The merges.</summary>
    public required MergeTable Merges { get; init; }

    /// <summary>The token of each byte; -1 where there is none.</summary>
    public required int[] ByteTokens { get; init; }

    /// <summary>The token of a character that is neither a token nor bytes; null if that cannot happen.</summary>
    public required int? UnknownToken { get; init; }

    /// <summary>Whether unknown characters in a row become one token.</summary>
    public required bool FuseUnknown { get; init; }

    /// <summary>When a space is put before the text.</summary>
    public required DummyPrefix Prefix { get; init; }
}
