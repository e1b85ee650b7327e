using System.Text;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>Text that comes token by token. Each test token is the bytes it is given.</summary>
public sealed class TextStreamTests
{
    [Fact]
    public void Half_a_character_must_wait_for_the_rest()
    {
        byte[] rocket = Encoding.UTF8.GetBytes("🚀");
        var tokenizer = new PieceTokenizer("a"u8.ToArray(), rocket[..1], rocket[1..3], [.. rocket[3..], (byte)'b']);
        var stream = new TextStream(tokenizer);

        Assert.Equal(["a", "", "", "🚀b", ""], Pieces(stream, tokenizer.Count));
    }

    [Fact]
    public void Broken_characters_must_become_replacement_characters_at_the_end()
    {
        byte[] rocket = Encoding.UTF8.GetBytes("🚀");
        var tokenizer = new PieceTokenizer("a"u8.ToArray(), rocket[..3]);

        Assert.Equal(["a", "", "\uFFFD"], Pieces(new TextStream(tokenizer), tokenizer.Count));
    }

    /// <summary>However random bytes are cut into tokens, the pieces together are the text of all bytes at once.</summary>
    [Fact]
    public void Pieces_must_add_up_to_the_whole_text()
    {
        var random = new Random(12);
        for (int round = 0; round < 5_000; round++)
        {
            byte[] bytes = RandomBytes(random);
            var tokenizer = new PieceTokenizer(Cut(random, bytes));
            string[] pieces = Pieces(new TextStream(tokenizer, ["\u0001never"]), tokenizer.Count);

            Assert.Equal(Encoding.UTF8.GetString(bytes), string.Concat(pieces));
            Assert.All(pieces, piece => Assert.True(IsWhole(piece)));
        }
    }

    [Theory]
    [InlineData("one|two|three", "twot", "one")]
    [InlineData("one|two|three", "ot", "onetw")]
    [InlineData("Hello|, wor|ld", "world", "Hello, ")]
    [InlineData("abcab|cabd|x", "cabd", "abcab")]
    [InlineData("aaaaaab", "aab", "aaaa")]
    [InlineData("🚀🚀|x", "🚀x", "🚀")]
    [InlineData("stop", "stop", "")]
    public void Text_must_end_before_a_stop_string_across_tokens(string text, string stop, string expected)
    {
        PieceTokenizer tokenizer = Tokens(text);
        var stream = new TextStream(tokenizer, [stop]);

        Assert.Equal(expected, string.Concat(Pieces(stream, tokenizer.Count)));
        Assert.True(stream.StopMatched);
        Assert.Equal(stop, stream.MatchedStop);
    }

    [Fact]
    public void A_possible_stop_string_must_be_held_back_and_given_out_when_it_fails()
    {
        PieceTokenizer tokenizer = Tokens("ab|ST|OX|ST");
        var stream = new TextStream(tokenizer, ["STOP"]);

        Assert.Equal(["ab", "", "STOX", "", "ST"], Pieces(stream, tokenizer.Count));
        Assert.False(stream.StopMatched);
        Assert.Null(stream.MatchedStop);
    }

    [Fact]
    public void The_stop_string_that_is_complete_first_must_win()
    {
        PieceTokenizer tokenizer = Tokens("xxab|cd|ef");
        var stream = new TextStream(tokenizer, ["cdef", "abcde", "bc", "c"]);

        Assert.Equal("xxa", string.Concat(Pieces(stream, tokenizer.Count)));
        Assert.Equal("bc", stream.MatchedStop);
    }

    [Fact]
    public void Nothing_must_come_after_a_stop_string()
    {
        PieceTokenizer tokenizer = Tokens("a\n|b");
        var stream = new TextStream(tokenizer, ["\n"]);

        Assert.Equal("a", stream.Append(0));
        Assert.Equal("", stream.Append(1));
        Assert.Equal("", stream.Flush());
    }

    /// <summary>A stop string may be completed by the character that a broken one becomes at the very end.</summary>
    [Fact]
    public void Stop_strings_must_be_found_in_the_flushed_text()
    {
        var tokenizer = new PieceTokenizer("ab"u8.ToArray(), [0xF0]);
        var stream = new TextStream(tokenizer, ["b\uFFFD"]);

        Assert.Equal(["a", "", ""], Pieces(stream, tokenizer.Count));
        Assert.True(stream.StopMatched);
    }

    /// <summary>Against a search of the whole text: the first end of any stop string, the longest of those ending there.</summary>
    [Fact]
    public void Random_text_must_stop_where_a_search_finds_it()
    {
        var random = new Random(13);
        int matches = 0;
        for (int round = 0; round < 5_000; round++)
        {
            string text = RandomLetters(random, random.Next(1, 40));
            string[] stops = [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => RandomLetters(random, random.Next(1, 7)))];
            var tokenizer = new PieceTokenizer(Cut(random, Encoding.UTF8.GetBytes(text)));
            var stream = new TextStream(tokenizer, stops);

            (string expected, string? stop) = Search(text, stops);
            Assert.Equal(expected, string.Concat(Pieces(stream, tokenizer.Count)));
            Assert.Equal(stop, stream.MatchedStop);
            matches += stop is null ? 0 : 1;
        }

        Assert.InRange(matches, 1_000, 4_900);
    }

    /// <summary>What is given out may never be a prefix of a stop string that the next tokens could complete.</summary>
    [Fact]
    public void No_piece_must_be_taken_back()
    {
        const string Stop = "abaabaa";
        for (int cut = 1; cut < Stop.Length; cut++)
        {
            PieceTokenizer tokenizer = Tokens($"x{Stop[..cut]}|{Stop[cut..]}");
            Assert.Equal(["x", "", ""], Pieces(new TextStream(tokenizer, [Stop]), tokenizer.Count));
        }
    }

    /// <summary>Repetitive text against repetitive stop strings, which makes careless searches quadratic.</summary>
    [Fact]
    public async Task Long_texts_must_take_linear_time()
    {
        PieceTokenizer tokenizer = Tokens("aaaaaaaa");
        string[] stops = [.. Enumerable.Range(0, 4).Select(index => new string('a', 50_000 + index) + "b")];
        var stream = new TextStream(tokenizer, stops);
        var text = new StringBuilder();
        await Task.Run(() =>
        {
            for (int count = 0; count < 50_000; count++)
                text.Append(stream.Append(0));
        }).WaitAsync(TimeSpan.FromSeconds(60));

        text.Append(stream.Flush());
        Assert.Equal(400_000, text.Length);
    }

    [Fact]
    public void Empty_stop_strings_must_be_refused() =>
        Assert.Throws<ArgumentException>(() => new TextStream(Tokens("a"), ["x", ""]));

    private static string[] Pieces(TextStream stream, int tokens) =>
        [.. Enumerable.Range(0, tokens).Select(stream.Append).ToList(), stream.Flush()];

    private static PieceTokenizer Tokens(string pieces) =>
        new([.. pieces.Split('|').Select(Encoding.UTF8.GetBytes)]);

    private static (string Text, string? Stop) Search(string text, string[] stops)
    {
        for (int end = 1; end <= text.Length; end++)
        {
            string? stop = stops.Where(text[..end].EndsWith).MaxBy(candidate => candidate.Length);
            if (stop is not null)
                return (text[..(end - stop.Length)], stop);
        }

        return (text, null);
    }

    private static string RandomLetters(Random random, int length) =>
        string.Concat(Enumerable.Range(0, length).Select(_ => random.Next(8) == 0 ? "é" : random.Next(2) == 0 ? "a" : "b"));

    /// <summary>Valid text, text cut anywhere, and bytes that never were text.</summary>
    private static byte[] RandomBytes(Random random)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(RandomText.Create(random, random.Next(12)));
        for (int damage = random.Next(4); damage > 0 && bytes.Length > 0; damage--)
            bytes[random.Next(bytes.Length)] = (byte)random.Next(0x70, 0x100);
        return bytes[..random.Next(bytes.Length + 1)];
    }

    private static byte[][] Cut(Random random, byte[] bytes)
    {
        var pieces = new List<byte[]>();
        for (int start = 0; start < bytes.Length;)
        {
            int end = Math.Min(bytes.Length, start + random.Next(6));
            pieces.Add(bytes[start..end]);
            start = end;
        }

        return [.. pieces];
    }

    private static bool IsWhole(string text) =>
        !text.Where((character, index) => char.IsHighSurrogate(character)
            && (index + 1 == text.Length || !char.IsLowSurrogate(text[index + 1]))).Any();
}
