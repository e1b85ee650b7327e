using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>A tokenizer.json to be changed by tests.</summary>
internal sealed class TestTokenizerJson
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private TestTokenizerJson(JsonObject root) => Root = root;

    public JsonObject Root { get; }

    public JsonObject Model => Root["model"]!.AsObject();

    public JsonObject Vocabulary => Model["vocab"]!.AsObject();

    /// <summary>The demo model's: byte-level.</summary>
    public static TestTokenizerJson Demo() =>
        new(JsonNode.Parse(File.ReadAllBytes(Path.Combine(SharedMaterial.Demo, "tokenizer.json")))!.AsObject());

    /// <summary>A small vocabulary in SentencePiece's form: every byte, a few characters and merges.</summary>
    public static TestTokenizerJson SentencePiece()
    {
        var vocabulary = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (int value = 0; value < 256; value++)
            vocabulary.Add($"<0x{value:X2}>", vocabulary.Count);
        foreach (string piece in "▁ a b c e h l o ab ▁a he ll ▁▁ hell".Split(' '))
            vocabulary.Add(piece, vocabulary.Count);

        return new TestTokenizerJson(new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Added(0, "<unk>"), Added(1, "<s>"), Added(2, "</s>")),
            ["normalizer"] = JsonNode.Parse(
                """
                { "type": "Sequence", "normalizers": [
                    { "type": "Prepend", "prepend": "▁" },
                    { "type": "Replace", "pattern": { "String": " " }, "content": "▁" } ] }
                """),
            ["pre_tokenizer"] = null,
            ["post_processor"] = JsonNode.Parse(
                """
                { "type": "TemplateProcessing",
                  "single": [ { "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } } ],
                  "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } }
                """),
            ["decoder"] = JsonNode.Parse(
                """
                { "type": "Sequence", "decoders": [
                    { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                    { "type": "ByteFallback" }, { "type": "Fuse" },
                    { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] }
                """),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray("a b", "▁ a", "h e", "l l", "▁ ▁", "he ll"),
            },
        });
    }

    public static JsonObject Added(int id, string content, bool special = true) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = special,
    };

    public void Save(TemporaryFolder folder) => File.WriteAllText(folder.File("tokenizer.json"), Root.ToJsonString(Readable));

    /// <summary>Loads it as it is now.</summary>
    public ModelTokenizer Load()
    {
        using var folder = new TemporaryFolder();
        Save(folder);
        return TokenizerLoader.Load(folder.Path);
    }
}
