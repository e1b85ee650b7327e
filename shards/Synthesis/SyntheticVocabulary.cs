namespace Llama3Cluster.Shards.Synthesis;

/// <summary>
/// A made-up vocabulary in Llama 3's form: the 256 bytes, then words of two, three and four letters that merges build from shorter
/// ones, then the special tokens. Every token is text or a special token that tokenizers know, so a server can stream what a model
/// with random weights says.
/// </summary>
internal static class SyntheticVocabulary
{
    private const int ByteTokens = 256;
    private const int MostSpecials = 256;
    private const int LeastSpecials = 16;

    /// <summary>Makes a vocabulary of a size.</summary>
    public static Vocabulary Create(int size)
    {
        int specials = size >= 16 * MostSpecials ? MostSpecials : LeastSpecials;
        var tokens = new List<string>(size);
        var merges = new List<string>();
        for (int value = 0; value < ByteTokens; value++)
            tokens.Add(Alphabet(value).ToString());
        foreach ((string left, string right) in Words().Take(size - specials - ByteTokens))
        {
            tokens.Add(left + right);
            merges.Add($"{left} {right}");
        }

        int words = tokens.Count;
        int reserved = 0;
        for (int place = 0; place < size - words; place++)
            tokens.Add(Vocabulary.SpecialTexts.TryGetValue(place, out string? text) ? text : $"<|reserved_special_token_{reserved++}|>");
        return new Vocabulary(
            tokens,
            [.. Enumerable.Repeat(TokenType.Normal, words), .. Enumerable.Repeat(TokenType.Control, size - words)],
            merges,
            null,
            []).WithSpecialTokensByText();
    }

    // GPT-2's spelling of bytes: printable Latin-1 characters stand for themselves, the others for the characters from U+0100 on.
    private static char Alphabet(int value)
    {
        if (IsPrintable(value))
            return (char)value;
        return (char)(0x100 + Enumerable.Range(0, value).Count(v => !IsPrintable(v)));
    }

    private static bool IsPrintable(int value) => value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);

    private static IEnumerable<(string Left, string Right)> Words()
    {
        string[] letters = [.. Enumerable.Range('a', 26).Select(letter => ((char)letter).ToString())];
        string[] pairs = [.. letters.SelectMany(_ => letters, (left, right) => left + right)];
        return letters.SelectMany(_ => letters, (left, right) => (left, right))
            .Concat(pairs.SelectMany(_ => letters, (left, right) => (left, right)))
            .Concat(pairs.SelectMany(_ => pairs, (left, right) => (left, right)));
    }
}
