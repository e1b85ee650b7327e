using System.Text;
using System.Text.RegularExpressions;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>
/// Text in which the names of special tokens stand for the tokens, as people write prompts by hand. Never for a user's text:
/// whoever may write <c>&lt;|eot_id|&gt;</c> there can end the turn and begin another.
/// </summary>
public sealed class SpecialTokenText
{
    private readonly ModelTokenizer _tokenizer;
    private readonly Dictionary<int, string> _names;
    private readonly Regex? _special;

    /// <summary>Uses a model's special tokens.</summary>
    public SpecialTokenText(ModelTokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        _tokenizer = tokenizer;
        _names = tokenizer.SpecialTokens.ToDictionary(token => token.Value, token => token.Key);
        // Where one name begins another, the longer one is meant.
        IEnumerable<string> names = tokenizer.SpecialTokens.Keys.OrderByDescending(name => name.Length).ThenBy(name => name, StringComparer.Ordinal);
        _special = _names.Count == 0 ? null : new Regex(string.Join('|', names.Select(Regex.Escape)), RegexOptions.CultureInvariant);
    }

    /// <summary>Encodes a text, names of special tokens as the tokens. No start token is put before it.</summary>
    /// <exception cref="Actors.Inference.PromptException">The text is not valid Unicode, or too long.</exception>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokens = new List<int>();
        int end = 0;
        for (Match? match = _special?.Match(text); match is { Success: true }; match = match.NextMatch())
        {
            AppendText(text[end..match.Index], tokens);
            tokens.Add(_tokenizer.SpecialTokens[match.Value]);
            end = match.Index + match.Length;
        }

        AppendText(text[end..], tokens);
        return [.. tokens];
    }

    /// <summary>Decodes tokens, special ones as their names.</summary>
    public string Decode(IEnumerable<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var text = new StringBuilder();
        var stream = new TextStream(_tokenizer, atTextStart: true);
        foreach (int token in tokens)
        {
            if (!_names.TryGetValue(token, out string? name))
            {
                text.Append(stream.Append(token));
                continue;
            }

            text.Append(stream.Flush()).Append(name);
            stream = new TextStream(_tokenizer, atTextStart: true);
        }

        return text.Append(stream.Flush()).ToString();
    }

    private void AppendText(string text, List<int> tokens)
    {
        if (text.Length > 0)
            tokens.AddRange(_tokenizer.EncodeText(text));
    }
}
