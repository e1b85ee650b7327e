using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Microsoft.ML.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>The vocabularies of GGUF files.</summary>
public sealed class GgufTokenizerTests
{
    private const int Normal = 1;
    private const int Control = 3;
    private const int UserDefined = 4;

    private static string TinyRandom => Path.Combine(SharedMaterial.Folder, "models", "llama-2-tiny-random.gguf");

    [Fact]
    public void Byte_level_vocabularies_must_encode_as_the_files_they_were_made_of()
    {
        ModelTokenizer expected = TokenizerLoader.Load(SharedMaterial.Demo);
        ModelTokenizer tokenizer = TokenizerLoader.Load(Demo());

        Assert.Equal(expected.VocabularySize, tokenizer.VocabularySize);
        Assert.Equal(expected.StartToken, tokenizer.StartToken);
        Assert.Equal(expected.EndTokens.Order(), tokenizer.EndTokens.Order());
        Assert.Equal(
            expected.SpecialTokens.OrderBy(token => token.Value), tokenizer.SpecialTokens.OrderBy(token => token.Value));
        Assert.True(tokenizer.HasChatFormat);
        var random = new Random(20);
        for (int round = 0; round < 1_000; round++)
        {
            string text = RandomText.Create(random, random.Next(1, 60));
            Assert.Equal(expected.EncodeText(text), tokenizer.EncodeText(text));
        }
    }

    [SharedFact]
    public void Llama_31_must_encode_the_golden_rows_from_a_GGUF_vocabulary()
    {
        using JsonDocument file = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(SharedMaterial.Llama31, "tokenizer.json")));
        ModelTokenizer tokenizer = TokenizerLoader.Load(ByteLevel(JsonObject.Create(file.RootElement)!));
        int rows = 0;
        foreach (string line in File.ReadLines(Path.Combine(SharedMaterial.Llama31, "golden.jsonl")))
        {
            using JsonDocument row = JsonDocument.Parse(line);
            bool ordinary = row.RootElement.TryGetProperty("ids_ordinary", out JsonElement ids);
            Assert.Equal(
                SharedMaterial.Ids(ordinary ? ids : row.RootElement.GetProperty("ids")),
                tokenizer.EncodeText(row.RootElement.GetProperty("text").GetString()!));
            rows++;
        }

        Assert.Equal(385, rows);
    }

    /// <summary>Against SentencePiece as Microsoft.ML.Tokenizers has it, given the same pieces and scores.</summary>
    [SharedFact]
    public void A_SentencePiece_vocabulary_must_encode_as_SentencePiece_does()
    {
        GgufVocabulary vocabulary = ReadTinyRandom();
        ModelTokenizer tokenizer = TokenizerLoader.Load(TinyRandom);
        using var model = new MemoryStream(SentencePieceModel(vocabulary));
        var library = LlamaTokenizer.Create(model, addBeginOfSentence: false);

        int compared = 0;
        var random = new Random(21);
        IEnumerable<string> texts = File.ReadLines(Path.Combine(SharedMaterial.Folder, "eval", "wiki.test.raw"))
            .Where(line => line.Length > 0).Take(200)
            .Concat(Enumerable.Range(0, 1_000).Select(_ => RandomText.Create(random, random.Next(1, 60))));
        foreach (string text in texts)
        {
            // Of equal merges SentencePiece takes the leftmost; the library takes any, which shows where something comes thrice.
            if (Regex.IsMatch(text, @"(.{1,8}?)\1\1"))
                continue;
            Assert.Equal(library.EncodeToIds(text), tokenizer.EncodeText(text));
            compared++;
        }

        Assert.InRange(compared, 500, 1_200);
    }

    [SharedFact]
    public void A_GGUF_file_must_lead_to_its_own_vocabulary()
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(TinyRandom);

        Assert.Equal(32000, tokenizer.VocabularySize);
        Assert.Equal(1, tokenizer.StartToken);
        Assert.Equal([2], tokenizer.EndTokens);
        Assert.True(tokenizer.StripsLeadingSpace);
        Assert.False(tokenizer.HasChatFormat);
        Assert.Equal([15043, 3186], tokenizer.EncodeText("Hello world"));
        Assert.Equal("Hello world", TextStream.Decode(tokenizer, [1, 15043, 3186]));
    }

    /// <summary>A character that is no token takes part in merges, and becomes its bytes where none comes about.</summary>
    [Fact]
    public void Characters_outside_the_vocabulary_must_still_merge()
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(SentencePiece(("é!", -1), ("▁", -2)));

        Assert.Equal("▁ é!", Spell(tokenizer, "é!"));
        Assert.Equal("▁ <0xC3> <0xA9> <0xC3> <0xA9>", Spell(tokenizer, "éé"));
    }

    [Fact]
    public void Equal_scores_must_merge_from_the_left()
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(SentencePiece(("a", -9), ("▁", -9), ("aa", 0), ("aaa", 0), ("a▁", 0)));

        Assert.Equal("▁ aaa aa", Spell(tokenizer, "aaaaa"));
        Assert.Equal("▁ aaa ▁ aa", Spell(tokenizer, "aaa aa"));
    }

    [Fact]
    public void User_defined_tokens_must_be_found_in_text_and_control_tokens_must_not()
    {
        GgufVocabulary demo = Demo();
        ModelTokenizer tokenizer = TokenizerLoader.Load(demo with
        {
            Tokens = [.. demo.Tokens, "<tool>", "<hidden>"],
            TokenTypes = [.. demo.TokenTypes!, UserDefined, Control],
        });

        Assert.Contains(2048, tokenizer.EncodeText("a<tool>b"));
        Assert.DoesNotContain(2049, tokenizer.EncodeText("a<hidden>b"));
        Assert.Equal("a<tool>b", TextStream.Decode(tokenizer, tokenizer.EncodeText("a<tool>b")));
    }

    [Fact]
    public void Control_tokens_must_be_known_by_name_where_the_file_has_no_types()
    {
        GgufVocabulary demo = Demo();
        ModelTokenizer tokenizer = TokenizerLoader.Load(demo with
        {
            Tokens = [.. demo.Tokens.Take(2033), "<|eot_id|>"],
            TokenTypes = null,
            EndTokens = [],
        });

        Assert.Equal([2033], tokenizer.EndTokens);
        Assert.DoesNotContain(2033, tokenizer.EncodeText("<|eot_id|>"));
    }

    [Fact]
    public void The_start_token_must_be_left_out_where_the_file_says_so() =>
        Assert.Null(TokenizerLoader.Load(Demo() with { AddBosToken = false }).StartToken);

    [Fact]
    public void What_is_not_supported_must_be_named()
    {
        GgufVocabulary demo = Demo();
        AssertRefused(demo with { Model = "bert" }, "the tokenizer model 'bert' is not supported");
        AssertRefused(demo with { Pre = "qwen2" }, "the split pattern 'qwen2'");
        AssertRefused(demo with { Pre = null }, "the split pattern ''");
        AssertRefused(demo with { Merges = null }, "merges is missing");
        AssertRefused(demo with { Merges = ["a"] }, "the merge 0, 'a'");
        AssertRefused(demo with { TokenTypes = [Normal] }, "1 token types for 2048 tokens");
        AssertRefused(demo with { TokenTypes = [.. demo.TokenTypes!.Select(_ => 9)] }, "token 0 has the type 9");
        AssertRefused(demo with { AddEosToken = true }, "add_eos_token");
        AssertRefused(demo with { BosToken = 2048 }, "bos_token_id is 2048, which is outside the vocabulary, 0 to 2047");
        AssertRefused(demo with { EndTokens = [-1] }, "is -1, which is outside");
        AssertRefused(demo with { Tokens = [], TokenTypes = null }, "no token for the byte 0x00");
        AssertRefused(
            demo with { Tokens = [new string('a', 1025)], TokenTypes = null }, "token 0 has 1025 characters; at most 1024");

        GgufVocabulary pieces = SentencePiece(("a", 0));
        AssertRefused(pieces with { Scores = null }, "0 scores for 257 tokens");
        AssertRefused(pieces with { RemoveExtraWhitespaces = true }, "remove_extra_whitespaces");
        AssertRefused(pieces with { UnknownToken = 257 }, "unknown_token_id is 257");
        AssertRefused(pieces with { Tokens = ["a"], Scores = [0], TokenTypes = null }, "neither an unknown token nor a token");
    }

    private static void AssertRefused(GgufVocabulary vocabulary, string message)
    {
        string error = Assert.Throws<ModelFileException>(() => TokenizerLoader.Load(vocabulary)).Message;
        Assert.StartsWith("test.gguf: ", error, StringComparison.Ordinal);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    private static string Spell(ModelTokenizer tokenizer, string text)
    {
        return string.Join(' ', tokenizer.EncodeText(text).Select(SpellToken));

        string SpellToken(int token)
        {
            byte[] bytes = tokenizer.DecodeBytes(token).ToArray();
            return token < 256 ? $"<0x{bytes[0]:X2}>" : Encoding.UTF8.GetString(bytes).Replace(' ', '▁');
        }
    }

    private static GgufVocabulary Demo() => ByteLevel(TestTokenizerJson.Demo().Root);

    /// <summary>The arrays that a converter would write for a tokenizer.json.</summary>
    private static GgufVocabulary ByteLevel(JsonObject json)
    {
        var tokens = new SortedDictionary<int, (string Token, int Type)>();
        foreach ((string token, JsonNode? id) in json["model"]!["vocab"]!.AsObject())
            tokens[id!.GetValue<int>()] = (token, Normal);
        foreach (JsonNode? added in json["added_tokens"]!.AsArray())
            tokens[added!["id"]!.GetValue<int>()] = (added["content"]!.GetValue<string>(), Control);
        int Id(string name) => tokens.First(token => token.Value.Token == name).Key;

        return new GgufVocabulary
        {
            Source = "test.gguf",
            Model = "gpt2",
            Pre = "llama-bpe",
            Tokens = [.. tokens.Values.Select(token => token.Token)],
            TokenTypes = [.. tokens.Values.Select(token => token.Type)],
            Merges =
            [
                .. json["model"]!["merges"]!.AsArray()
                    .Select(merge => merge is JsonArray pair ? $"{pair[0]} {pair[1]}" : merge!.GetValue<string>()),
            ],
            BosToken = Id("<|begin_of_text|>"),
            EndTokens = [Id("<|eot_id|>")],
        };
    }

    /// <summary>All bytes, then the given pieces.</summary>
    private static GgufVocabulary SentencePiece(params (string Piece, float Score)[] pieces) => new()
    {
        Source = "test.gguf",
        Model = "llama",
        Tokens = [.. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), .. pieces.Select(piece => piece.Piece)],
        Scores = [.. new float[256], .. pieces.Select(piece => piece.Score)],
        TokenTypes = [.. Enumerable.Repeat(6, 256), .. pieces.Select(_ => Normal)],
    };

    private static GgufVocabulary ReadTinyRandom()
    {
        using ModelFile file = ModelFile.Open(TinyRandom);
        return GgufVocabulary.Read("test.gguf", ((GgufFile)file).Metadata)!;
    }

    /// <summary>SentencePiece's own file: pieces, a trainer that makes it BPE with bytes, and the normalizer's flags.</summary>
    private static byte[] SentencePieceModel(GgufVocabulary vocabulary)
    {
        using var stream = new MemoryStream();
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
        {
            for (int id = 0; id < vocabulary.Tokens.Count; id++)
            {
                string token = vocabulary.Tokens[id];
                float score = vocabulary.Scores![id];
                int type = vocabulary.TokenTypes![id];
                WriteMessage(output, 1, piece =>
                {
                    piece.WriteTag(1, WireFormat.WireType.LengthDelimited);
                    piece.WriteString(token);
                    piece.WriteTag(2, WireFormat.WireType.Fixed32);
                    piece.WriteFloat(score);
                    piece.WriteTag(3, WireFormat.WireType.Varint);
                    piece.WriteEnum(type);
                });
            }

            WriteMessage(output, 2, trainer =>
            {
                trainer.WriteTag(3, WireFormat.WireType.Varint);
                trainer.WriteEnum(2);
                trainer.WriteTag(35, WireFormat.WireType.Varint);
                trainer.WriteBool(true);
            });
            WriteMessage(output, 3, normalizer =>
            {
                normalizer.WriteTag(3, WireFormat.WireType.Varint);
                normalizer.WriteBool(true);
                normalizer.WriteTag(4, WireFormat.WireType.Varint);
                normalizer.WriteBool(false);
                normalizer.WriteTag(5, WireFormat.WireType.Varint);
                normalizer.WriteBool(true);
            });
        }

        return stream.ToArray();
    }

    private static void WriteMessage(CodedOutputStream output, int field, Action<CodedOutputStream> write)
    {
        using var stream = new MemoryStream();
        using (var message = new CodedOutputStream(stream, leaveOpen: true))
            write(message);
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(stream.ToArray()));
    }
}
