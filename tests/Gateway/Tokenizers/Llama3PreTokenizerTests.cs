using System.Text;
using System.Text.RegularExpressions;
using Llama3Cluster.Gateway.Tokenizers.Bpe;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>The split of text before the merges.</summary>
public sealed class Llama3PreTokenizerTests
{
    private static readonly Llama3PreTokenizer PreTokenizer = new();

    [Theory]
    [InlineData("Hello world", "Hello| world")]
    [InlineData("I'm we'LL they'Ve don't", "I|'m| we|'LL| they|'Ve| don|'t")]
    [InlineData("'sabc 'x", "'s|abc| '|x")]
    [InlineData("12345 6", "123|45| |6")]
    [InlineData("a  b   c", "a| | b|  | c")]
    [InlineData("a  1", "a| | |1")]
    [InlineData("a \n \n b", "a| \n \n| b")]
    [InlineData("end  ", "end|  ")]
    [InlineData(" !?\r\n\r\n x", " !?\r\n\r\n| x")]
    [InlineData("(word", "(word")]
    [InlineData("((word", "((|word")]
    [InlineData("\tword\n", "\tword|\n")]
    [InlineData("\u00A0word", "\u00A0word")]
    public void Text_must_split_as_the_pattern_does(string text, string pieces) => Assert.Equal(pieces, Split(text));

    /// <summary>Letters and digits outside the first plane, which a .NET expression takes for neither.</summary>
    [Theory]
    [InlineData("a𠀀b", "a𠀀b")]
    [InlineData("!𝐀𝐁", "!𝐀𝐁")]
    [InlineData("𝟙𝟚𝟛𝟜", "𝟙𝟚𝟛|𝟜")]
    [InlineData("🚀word", "🚀word")]
    [InlineData("🚀🚀word", "🚀🚀|word")]
    [InlineData("'ſo", "'ſ|o")]
    public void Characters_of_any_plane_must_count_as_one(string text, string pieces) => Assert.Equal(pieces, Split(text));

    /// <summary>The pattern itself, on text in which UTF-16 units are characters.</summary>
    [Fact]
    public void Random_text_must_split_as_the_regular_expression_does()
    {
        var pattern = new Regex(Llama3PreTokenizer.Pattern, RegexOptions.CultureInvariant);
        var random = new Random(9);
        for (int round = 0; round < 20_000; round++)
        {
            string text = OnePlane(RandomText.Create(random, random.Next(1, 30)));
            string expected = string.Join('|', pattern.Matches(text).Select(match => match.Value));
            Assert.Equal(expected, Split(text));
        }
    }

    [Fact]
    public void Pieces_must_cover_any_text_without_gaps()
    {
        var random = new Random(10);
        for (int round = 0; round < 5_000; round++)
        {
            string text = RandomText.Create(random, random.Next(40));
            int end = 0;
            foreach ((int offset, int length) in PreTokenizer.PreTokenize(text.AsSpan()))
            {
                Assert.Equal(end, offset);
                Assert.True(length > 0);
                end += length;
            }

            Assert.Equal(text.Length, end);
        }
    }

    /// <summary>Leaves out what .NET sees otherwise: other planes, and the long s as an s.</summary>
    private static string OnePlane(string text)
    {
        var kept = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes().Where(rune => rune.IsBmp && rune.Value != 0x17F))
            kept.Append(rune);
        return kept.ToString();
    }

    private static string Split(string text) =>
        string.Join('|', PreTokenizer.PreTokenize(text).Select(piece => text.Substring(piece.Offset, piece.Length)));
}
