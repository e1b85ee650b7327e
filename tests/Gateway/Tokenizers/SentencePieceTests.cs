using System.Text.Json.Nodes;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>SentencePiece's form of tokenizer.json, on a vocabulary small enough to follow by hand.</summary>
public sealed class SentencePieceTests
{
    [Theory]
    [InlineData("ab", "▁ ab")]
    [InlineData("a", "▁a")]
    [InlineData(" a", "▁ ▁a")]
    [InlineData("  a", "▁▁ ▁a")]
    [InlineData("hello", "▁ hell o")]
    [InlineData("c\n", "▁ c <0x0A>")]
    [InlineData("é", "▁ <0xC3> <0xA9>")]
    [InlineData("🚀b", "▁ <0xF0> <0x9F> <0x9A> <0x80> b")]
    [InlineData("<s>", "▁ <0x3C> <0x73> <0x3E>")]
    [InlineData("<0x0A>", "▁ <0x3C> <0x30> <0x78> <0x30> <0x41> <0x3E>")]
    public void Text_must_become_the_pieces_of_the_merges(string text, string pieces)
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        ModelTokenizer tokenizer = json.Load();

        Assert.Equal(pieces, Spell(json, tokenizer.EncodeText(text)));
        Assert.Equal(text, TextStream.Decode(tokenizer, tokenizer.EncodeText(text)));
    }

    [Fact]
    public void The_start_token_must_come_from_the_template() =>
        Assert.Equal(1, TestTokenizerJson.SentencePiece().Load().Encode(new Prompt.Text("a"))[0]);

    [Fact]
    public void The_space_of_a_continued_prompt_must_stay()
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        ModelTokenizer tokenizer = json.Load();
        int token = json.Vocabulary["▁a"]!.GetValue<int>();

        Assert.Equal(" a", new TextStream(tokenizer).Append(token));
        Assert.Equal("a", new TextStream(tokenizer, atTextStart: true).Append(token));
    }

    /// <summary>Only one space is taken away, and only at the start, even where a special token comes first.</summary>
    [Fact]
    public void One_leading_space_must_be_taken_away()
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        ModelTokenizer tokenizer = json.Load();
        int space = json.Vocabulary["▁"]!.GetValue<int>();

        Assert.Equal(" ", TextStream.Decode(tokenizer, [1, space, space]));
        Assert.Equal("c ", TextStream.Decode(tokenizer, [json.Vocabulary["c"]!.GetValue<int>(), space]));
    }

    [Theory]
    [InlineData(true, "▁ <unk> b <unk>")]
    [InlineData(false, "▁ <unk> <unk> b <unk>")]
    public void Unknown_characters_must_become_the_unknown_token(bool fuse, string pieces)
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        json.Model["byte_fallback"] = false;
        json.Model["fuse_unk"] = fuse;

        Assert.Equal(pieces, Spell(json, json.Load().EncodeText("éxb🚀")));
    }

    /// <summary>The newer spelling of the same tokenizer: Metaspace does not put a second space before one.</summary>
    [Theory]
    [InlineData("first", "a", "▁a")]
    [InlineData("always", " a", "▁a")]
    [InlineData("first", "  a", "▁ ▁a")]
    [InlineData("never", "a", "a")]
    [InlineData("never", " a", "▁a")]
    public void Metaspace_must_prepend_by_its_scheme(string scheme, string text, string pieces)
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        json.Root["normalizer"] = null;
        json.Root["pre_tokenizer"] = new JsonObject
        {
            ["type"] = "Metaspace",
            ["replacement"] = "▁",
            ["prepend_scheme"] = scheme,
            ["split"] = false,
        };

        // "▁▁" would be merged before "▁a".
        json.Model["merges"] = new JsonArray("a b", "▁ a", "▁ ▁");
        Assert.Equal(pieces, Spell(json, json.Load().EncodeText(text)));
    }

    [Fact]
    public void A_file_without_a_template_must_follow_the_config_beside_it()
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        json.Root["post_processor"] = null;
        Assert.Null(json.Load().StartToken);

        using var folder = new TemporaryFolder();
        json.Save(folder);
        const string Config = """{ "bos_token": { "content": "<s>" }, "add_bos_token": true }""";
        File.WriteAllText(folder.File("tokenizer_config.json"), Config);
        Assert.Equal(1, TokenizerLoader.Load(folder.Path).StartToken);
    }

    /// <summary>Tokens that were added without being special are found in text, the longest first.</summary>
    [Fact]
    public void Added_tokens_must_be_taken_out_of_text()
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        JsonArray added = json.Root["added_tokens"]!.AsArray();
        added.Add(TestTokenizerJson.Added(300, "<tool>", special: false));
        added.Add(TestTokenizerJson.Added(301, "<tool>x", special: false));
        ModelTokenizer tokenizer = json.Load();

        int[] tokens = tokenizer.EncodeText("a<tool><tool>xb");

        Assert.Equal("▁a 300 301 ▁ b", Spell(json, tokens));
        Assert.Equal("a<tool><tool>x b", TextStream.Decode(tokenizer, tokens));
    }

    [Fact]
    public void Random_text_must_come_back()
    {
        ModelTokenizer tokenizer = TestTokenizerJson.SentencePiece().Load();
        var random = new Random(14);
        for (int round = 0; round < 2_000; round++)
        {
            string text = RandomText.Create(random, random.Next(1, 40)).Replace('▁', '_');
            Assert.Equal(text, TextStream.Decode(tokenizer, tokenizer.EncodeText(text)));
        }
    }

    private static string Spell(TestTokenizerJson json, int[] tokens)
    {
        Dictionary<int, string> names = json.Vocabulary.ToDictionary(entry => entry.Value!.GetValue<int>(), entry => entry.Key);
        return string.Join(' ', tokens.Select(token => names.GetValueOrDefault(token, $"{token}")));
    }
}
