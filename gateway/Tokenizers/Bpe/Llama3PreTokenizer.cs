using System.Globalization;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// Splits text as Llama 3's <see cref="Pattern"/> does. It is a hand-written matcher because .NET's regular expressions see
/// UTF-16 units, not characters: they take no letter or digit outside the first Unicode plane for one, and may split a
/// surrogate pair. It reads every character a bounded number of times.
/// </summary>
public sealed class Llama3PreTokenizer : PreTokenizer
{
    /// <summary>The pattern, as tokenizer.json spells it.</summary>
    public const string Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <inheritdoc/>
    public override IEnumerable<(int Offset, int Length)> PreTokenize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Split(text);

        static IEnumerable<(int, int)> Split(string text)
        {
            for (int start = 0; start < text.Length;)
            {
                int length = MatchLength(text.AsSpan(start));
                yield return (start, length);
                start += length;
            }
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text) => PreTokenize(text.ToString());

    /// <summary>The length of the match at the start of the text; the alternatives are tried in the pattern's order.</summary>
    private static int MatchLength(ReadOnlySpan<char> text)
    {
        Kind first = KindAt(text, 0, out int width);

        int length = Contraction(text);
        if (length > 0)
            return length;

        // [^\r\n\p{L}\p{N}]?\p{L}+
        if (first == Kind.Letter)
            return Run(text, width, Kind.Letter);
        if (first is not (Kind.Number or Kind.NewLine) && KindAt(text, width, out _) == Kind.Letter)
            return Run(text, width, Kind.Letter);

        // \p{N}{1,3}
        if (first == Kind.Number)
        {
            length = width;
            for (int count = 1; count < 3 && KindAt(text, length, out int next) == Kind.Number; count++)
                length += next;
            return length;
        }

        //  ?[^\s\p{L}\p{N}]+[\r\n]*
        int symbols = text[0] == ' ' ? 1 : 0;
        if (KindAt(text, symbols, out _) == Kind.Other)
            return Run(text, Run(text, symbols, Kind.Other), Kind.NewLine);

        return WhiteSpace(text);
    }

    /// <summary>(?i:'s|'t|'re|'ve|'m|'ll|'d); without regard to case, the long s (U+017F) is an s too.</summary>
    private static int Contraction(ReadOnlySpan<char> text)
    {
        if (text.Length < 2 || text[0] != '\'')
            return 0;
        if (text[1] is 's' or 'S' or '\u017F' or 't' or 'T' or 'm' or 'M' or 'd' or 'D')
            return 2;
        if (text.Length == 2)
            return 0;
        return (text[1], text[2]) is ('r' or 'R' or 'v' or 'V', 'e' or 'E') or ('l' or 'L', 'l' or 'L') ? 3 : 0;
    }

    /// <summary>
    /// \s*[\r\n]+ up to the last line end of the run; else \s+(?!\S), which leaves one for the next word; else \s+.
    /// </summary>
    private static int WhiteSpace(ReadOnlySpan<char> text)
    {
        int end = 0;
        int afterLastNewLine = 0;
        for (Kind kind; (kind = KindAt(text, end, out _)) is Kind.Space or Kind.NewLine;)
        {
            end++;
            if (kind == Kind.NewLine)
                afterLastNewLine = end;
        }

        if (afterLastNewLine > 0)
            return afterLastNewLine;
        return end == text.Length || end == 1 ? end : end - 1;
    }

    /// <summary>The end of the run of one kind that starts at an index.</summary>
    private static int Run(ReadOnlySpan<char> text, int start, Kind kind)
    {
        while (KindAt(text, start, out int width) == kind)
            start += width;
        return start;
    }

    private static Kind KindAt(ReadOnlySpan<char> text, int index, out int width)
    {
        width = 0;
        if (index >= text.Length)
            return Kind.End;

        Rune.DecodeFromUtf16(text[index..], out Rune rune, out width);
        if (rune.Value is '\r' or '\n')
            return Kind.NewLine;

        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Kind.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Number,
            _ => Rune.IsWhiteSpace(rune) ? Kind.Space : Kind.Other,
        };
    }

    /// <summary>The classes that the pattern tells apart.</summary>
    private enum Kind
    {
        Letter,
        Number,
        NewLine,
        Space,
        Other,
        End,
    }
}
