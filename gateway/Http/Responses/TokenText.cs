using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>Writes single tokens in log-probability reports.</summary>
internal static class TokenText
{
    /// <summary>The smallest log-probability that is reported: JSON has no negative infinity.</summary>
    private const double Floor = -9999;

    /// <summary>A token as text; bytes that are no whole characters are written \xNN, and a special token by its id.</summary>
    public static string Of(ITokenizer tokenizer, int token)
    {
        ReadOnlySpan<byte> bytes = tokenizer.DecodeBytes(token).Span;
        if (bytes.IsEmpty)
            return string.Create(CultureInfo.InvariantCulture, $"token_id:{token}");
        if (Utf8.IsValid(bytes))
            return Encoding.UTF8.GetString(bytes);
        var text = new StringBuilder(bytes.Length * 4);
        foreach (byte value in bytes)
            text.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}");
        return text.ToString();
    }

    /// <summary>Whether a token is whole characters, or none.</summary>
    public static bool IsWhole(ITokenizer tokenizer, int token) => Utf8.IsValid(tokenizer.DecodeBytes(token).Span);

    /// <summary>A token's bytes as a list of numbers.</summary>
    public static IReadOnlyList<int> BytesOf(ITokenizer tokenizer, int token) =>
        Array.ConvertAll(tokenizer.DecodeBytes(token).ToArray(), value => (int)value);

    /// <summary>A log-probability that JSON can carry.</summary>
    public static double LogProb(float value) => float.IsNaN(value) ? Floor : Math.Max(value, Floor);
}
