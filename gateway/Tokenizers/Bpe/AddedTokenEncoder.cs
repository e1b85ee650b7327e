using System.Text.RegularExpressions;

namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// Takes the tokens that were added to a vocabulary without being special (fine-tuned models have such) out of the text, the
/// leftmost and longest first, and encodes what lies between them.
/// </summary>
internal sealed class AddedTokenEncoder : ITextEncoder
{
    private readonly ITextEncoder _inner;
    private readonly IReadOnlyDictionary<string, int> _added;
    private readonly Regex _pattern;

    private AddedTokenEncoder(ITextEncoder inner, IReadOnlyDictionary<string, int> added)
    {
        _inner = inner;
        _added = added;
        IEnumerable<string> literals = added.Keys.OrderByDescending(token => token.Length).Select(Regex.Escape);
        _pattern = new Regex(string.Join('|', literals), RegexOptions.CultureInvariant);
    }

    /// <summary>The encoder itself when nothing was added.</summary>
    public static ITextEncoder Wrap(ITextEncoder inner, IReadOnlyDictionary<string, int> added) =>
        added.Count == 0 ? inner : new AddedTokenEncoder(inner, added);

    public void Encode(string text, List<int> tokens)
    {
        int start = 0;
        for (Match match = _pattern.Match(text); match.Success; match = match.NextMatch())
        {
            EncodeBetween(text, start, match.Index, tokens);
            tokens.Add(_added[match.Value]);
            start = match.Index + match.Length;
        }

        EncodeBetween(text, start, text.Length, tokens);
    }

    private void EncodeBetween(string text, int start, int end, List<int> tokens)
    {
        if (end > start)
            _inner.Encode(text[start..end], tokens);
    }
}
