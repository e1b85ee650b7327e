using System.Globalization;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// What is taken from tokenizer_config.json; a file that is not there says nothing. Its chat template is never run, only copied.
/// </summary>
internal sealed record TokenizerConfigFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "tokenizer_config.json";

    /// <summary>The name of the start token.</summary>
    public string? StartToken { get; private init; }

    /// <summary>The name of the token that ends a text.</summary>
    public string? EndToken { get; private init; }

    /// <summary>Whether text gets the start token.</summary>
    public bool? AddStartToken { get; private init; }

    /// <summary>The tokens beside the merges; null if the file does not list them.</summary>
    public IReadOnlyList<AddedToken>? AddedTokens { get; private init; }

    /// <summary>Reads the file of a folder.</summary>
    public static TokenizerConfigFile Read(string folder)
    {
        using JsonFile? file = JsonFile.OpenIfPresent(Path.Combine(folder, Name));
        if (file is null)
            return new TokenizerConfigFile();

        JsonValue root = file.Root;
        JsonValue addStart = root["add_bos_token"];
        return new TokenizerConfigFile
        {
            StartToken = NameOf(root["bos_token"]),
            EndToken = NameOf(root["eos_token"]),
            AddStartToken = addStart.IsNull ? null : addStart.AsBoolean(absent: false),
            AddedTokens = root["added_tokens_decoder"] is { IsNull: false } added ? [.. ReadAdded(added)] : null,
        };
    }

    /// <summary>The chat template of a folder, for files that hand it on; null if it has none, or several.</summary>
    public static string? ChatTemplateOf(string folder)
    {
        using JsonFile? file = JsonFile.OpenIfPresent(Path.Combine(folder, Name));
        return file?.Root["chat_template"] is { IsString: true } template ? template.AsString() : null;
    }

    /// <summary>A token's name, written as a string or as an object with a content.</summary>
    private static string? NameOf(JsonValue token) =>
        token.IsNull ? null : token.IsObject ? token["content"].AsString() : token.AsString();

    private static IEnumerable<AddedToken> ReadAdded(JsonValue tokens)
    {
        foreach ((string id, JsonValue token) in tokens.Members())
        {
            if (!int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                throw new Shards.Files.ModelFileException($"{tokens.Path} has the token id '{id}', which is no number");
            yield return AddedToken.Read(number, token, normalizes: false);
        }
    }
}
