using System.Text;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Text;

/// <summary>Turns tokens into text as they come: never half a character, and nothing of a stop string.</summary>
internal sealed class TextStream(ITokenizer tokenizer, IReadOnlyList<string> stopStrings)
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private string _held = "";

    public bool StopMatched { get; private set; }

    public string Append(int token) => Take(tokenizer.DecodeBytes(token).Span, false);

    public string Flush() => Take([], true);

    private string Take(ReadOnlySpan<byte> bytes, bool end)
    {
        if (StopMatched)
            return "";
        char[] chars = new char[_decoder.GetCharCount(bytes, end)];
        int count = _decoder.GetChars(bytes, chars, end);
        string text = string.Concat(_held, chars.AsSpan(0, count));
        int stop = -1;
        foreach (string candidate in stopStrings)
        {
            int at = text.IndexOf(candidate, StringComparison.Ordinal);
            if (at >= 0 && (stop < 0 || at < stop))
                stop = at;
        }

        if (stop >= 0)
        {
            StopMatched = true;
            return text[..stop];
        }

        int held = end ? 0 : HeldLength(text);
        _held = text[^held..];
        return text[..^held];
    }

    private int HeldLength(string text)
    {
        int held = 0;
        foreach (string candidate in stopStrings)
        {
            for (int length = Math.Min(candidate.Length - 1, text.Length); length > held; length--)
            {
                if (text.AsSpan().EndsWith(candidate.AsSpan(0, length), StringComparison.Ordinal))
                    held = length;
            }
        }

        return held;
    }
}
