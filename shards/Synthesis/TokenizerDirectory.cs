using System.Text.Json;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>A folder with the tokenizer of an existing model.</summary>
internal static class TokenizerDirectory
{
    public const string TokenizerJson = "tokenizer.json";

    private const int FileLimit = 256 << 20;

    // What a model's folder has beside tokenizer.json for its tokenizer.
    private static readonly string[] OtherFiles =
        ["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

    /// <summary>Reads the vocabulary of a tokenizer.json.</summary>
    /// <exception cref="ModelFileException">There is none, or it is not byte-level BPE.</exception>
    public static Vocabulary Read(string folder)
    {
        string path = Path.Combine(folder, TokenizerJson);
        if (!File.Exists(path))
            throw new ModelFileException($"there is no {TokenizerJson} in the tokenizer's folder {folder}");
        using JsonDocument document = JsonFile.Read(path, FileLimit);
        JsonElement root = document.RootElement;
        JsonElement model = Member(path, root, "model", JsonValueKind.Object);
        string type = new JsonSettings(path, model).OptionalText("type") ?? "unnamed";
        bool byteLevel = root.TryGetProperty("pre_tokenizer", out JsonElement before)
            && before.GetRawText().Contains("\"ByteLevel\"", StringComparison.Ordinal);
        if (type != "BPE" || !byteLevel)
            throw new ModelFileException($"{path} is a tokenizer of type {type}{(byteLevel ? "" : " without byte-level text")}; "
                + "only byte-level BPE, as Llama 3's, is supported");

        var texts = new SortedDictionary<int, (string Text, TokenType Type)>();
        foreach (JsonProperty word in Member(path, model, "vocab", JsonValueKind.Object).EnumerateObject())
            texts[Id(path, word.Value)] = (word.NameText(path), TokenType.Normal);
        if (root.TryGetProperty("added_tokens", out JsonElement added) && added.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement token in added.EnumerateArray())
            {
                var settings = new JsonSettings(path, token);
                string text = settings.OptionalText("content") ?? throw new ModelFileException($"{path}: an added token has no content");
                texts[Id(path, Member(path, token, "id", JsonValueKind.Number))] =
                    (text, settings.OptionalBoolean("special") == true ? TokenType.Control : TokenType.UserDefined);
            }
        }

        if (texts.Count == 0 || texts.Keys.Last() != texts.Count - 1)
            throw new ModelFileException($"{path} has {texts.Count} tokens numbered up to {texts.Keys.LastOrDefault()}; "
                + "they must be numbered without gaps");
        string[] merges = [.. Member(path, model, "merges", JsonValueKind.Array).EnumerateArray().Select(merge => Merge(path, merge))];
        return new Vocabulary([.. texts.Values.Select(t => t.Text)], [.. texts.Values.Select(t => t.Type)], merges, null, [])
            .WithSpecialTokensByText();
    }

    /// <summary>Copies the files of a tokenizer to a model's folder.</summary>
    public static void Copy(string folder, string destination)
    {
        foreach (string name in OtherFiles.Append(TokenizerJson))
        {
            if (File.Exists(Path.Combine(folder, name)))
                File.Copy(Path.Combine(folder, name), Path.Combine(destination, name));
        }
    }

    // Newer files keep the two parts of a merge apart, older ones in one string.
    private static string Merge(string path, JsonElement merge) => merge.ValueKind == JsonValueKind.Array
        ? string.Join(' ', merge.EnumerateArray().Select(part => part.Text(path, "a merge")))
        : merge.Text(path, "a merge");

    private static int Id(string path, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && id is >= 0 and < LlamaConfigLimits.Vocabulary
            ? id
            : throw new ModelFileException($"{path}: {JsonFile.Shown(value)} is not the number of a token");

    private static JsonElement Member(string path, JsonElement parent, string name, JsonValueKind kind) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement value) && value.ValueKind == kind
            ? value
            : throw new ModelFileException($"{path} has no {name} that is a JSON {kind}");
}
