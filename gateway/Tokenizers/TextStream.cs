using System.Text;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>
/// Turns tokens into text as they come. What it gives out is final: never half a character, never a part of what may become a
/// stop string. The pieces together are the text that decoding all bytes at once would give, up to the first stop string.
/// For one generation; not safe to use from several threads.
/// </summary>
public sealed class TextStream
{
    private readonly ITokenizer _tokenizer;
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private readonly StopMatcher _stops;
    private char[] _characters = new char[64];
    private bool _stripSpace;

    /// <summary>Creates a stream.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="stopStrings">Strings that end the text; none may be empty.</param>
    /// <param name="atTextStart">
    /// Whether the first token starts a text rather than continues a prompt. A SentencePiece model's text loses the space that
    /// encoding put before it; an answer that continues a prompt keeps its first space, which separates it from the prompt.
    /// </param>
    public TextStream(ITokenizer tokenizer, IReadOnlyList<string>? stopStrings = null, bool atTextStart = false)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        _tokenizer = tokenizer;
        _stops = new StopMatcher(stopStrings ?? []);
        _stripSpace = atTextStart && tokenizer is ModelTokenizer { StripsLeadingSpace: true };
    }

    /// <summary>Whether a stop string was met. Nothing comes out of the stream after it.</summary>
    public bool StopMatched => _stops.Matched is not null;

    /// <summary>The stop string that was met; null if none was.</summary>
    public string? MatchedStop => _stops.Matched;

    /// <summary>
    /// The text of tokens from its start on; special tokens are left out, bytes that are no UTF-8 become U+FFFD.
    /// </summary>
    public static string Decode(ITokenizer tokenizer, IEnumerable<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var stream = new TextStream(tokenizer, atTextStart: true);
        var text = new StringBuilder();
        foreach (int token in tokens)
            text.Append(stream.Append(token));
        return text.Append(stream.Flush()).ToString();
    }

    /// <summary>Takes the next token and gives the text that is certain now, often none.</summary>
    public string Append(int token) => Advance(_tokenizer.DecodeBytes(token).Span, flush: false);

    /// <summary>
    /// Ends the text and gives what was held back: the start of a stop string that never came, bytes of a broken character.
    /// </summary>
    public string Flush()
    {
        string text = Advance([], flush: true);
        return StopMatched ? text : text + _stops.TakeHeld();
    }

    private string Advance(ReadOnlySpan<byte> bytes, bool flush)
    {
        if (StopMatched)
            return "";

        int capacity = Encoding.UTF8.GetMaxCharCount(bytes.Length);
        if (_characters.Length < capacity)
            _characters = new char[capacity];

        Span<char> characters = _characters.AsSpan(0, _decoder.GetChars(bytes, _characters, flush));
        if (_stripSpace && characters.Length > 0)
        {
            _stripSpace = false;
            if (characters[0] == ' ')
                characters = characters[1..];
        }

        return _stops.Append(characters);
    }
}
