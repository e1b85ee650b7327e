using System.Text.Json.Nodes;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>The tokenizer files of a Hugging Face folder for a made-up vocabulary, in the form of Llama 3's.</summary>
internal static class SyntheticTokenizerFiles
{
    // Llama 3's split pattern, as Meta's tokenizer states it.
    private const string SplitPattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>Writes tokenizer.json and tokenizer_config.json.</summary>
    public static void Write(Vocabulary vocabulary, string folder)
    {
        string bos = vocabulary.Tokens[vocabulary.BosToken!.Value], eos = vocabulary.Tokens[vocabulary.EosTokens[0]];
        File.WriteAllText(Path.Combine(folder, TokenizerDirectory.TokenizerJson), TokenizerJson(vocabulary, bos));
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), new JsonObject
        {
            ["bos_token"] = bos,
            ["eos_token"] = eos,
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
        }.ToJsonString());
    }

    private static string TokenizerJson(Vocabulary vocabulary, string bos)
    {
        var words = new JsonObject();
        var added = new JsonArray();
        for (int i = 0; i < vocabulary.Tokens.Count; i++)
        {
            if (vocabulary.Types[i] == TokenType.Normal)
                words[vocabulary.Tokens[i]] = i;
            else
                added.Add((JsonNode)AddedToken(i, vocabulary.Tokens[i]));
        }

        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = added,
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = new JsonObject { ["Regex"] = SplitPattern },
                        ["behavior"] = "Isolated",
                        ["invert"] = false,
                    },
                    ByteLevel()),
            },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["processors"] = new JsonArray(ByteLevel(), StartingWith(bos, vocabulary.BosToken!.Value)),
            },
            ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = true,
                ["vocab"] = words,
                ["merges"] = new JsonArray([.. vocabulary.Merges.Select(merge => JsonValue.Create(merge))]),
            },
        }.ToJsonString();
    }

    private static JsonObject AddedToken(int id, string text) => new()
    {
        ["id"] = id,
        ["content"] = text,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };

    private static JsonObject ByteLevel() => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = false,
        ["trim_offsets"] = true,
        ["use_regex"] = false,
    };

    private static JsonObject StartingWith(string bos, int id) => new()
    {
        ["type"] = "TemplateProcessing",
        ["single"] = new JsonArray(Special(bos, 0), Sequence("A", 0)),
        ["pair"] = new JsonArray(Special(bos, 0), Sequence("A", 0), Special(bos, 1), Sequence("B", 1)),
        ["special_tokens"] = new JsonObject
        {
            [bos] = new JsonObject { ["id"] = bos, ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(bos) },
        },
    };

    private static JsonObject Special(string text, int part) =>
        new() { ["SpecialToken"] = new JsonObject { ["id"] = text, ["type_id"] = part } };

    private static JsonObject Sequence(string name, int part) =>
        new() { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = part } };
}
