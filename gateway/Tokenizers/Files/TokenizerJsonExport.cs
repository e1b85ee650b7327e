using System.Text;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// Writes a tokenizer.json as a GGUF vocabulary. Byte-level BPE loses nothing. SentencePiece's form has only scores for its merges
/// there, so the file goes along whole, under the key that GGUF has for it; the scores are for programs that do not read that.
/// </summary>
internal sealed class TokenizerJsonExport
{
    private readonly JsonValue _model;
    private readonly SortedDictionary<int, (string Text, GgufTokenType Type)> _tokens = [];
    private readonly List<(string Left, string Right)> _merges = [];

    private TokenizerJsonExport(JsonValue root)
    {
        _model = root["model"];
        bool byteFallback = _model["byte_fallback"].AsBoolean(absent: false);
        foreach ((string token, JsonValue id) in _model["vocab"].Members())
        {
            bool isByte = byteFallback && SentencePieceVocabulary.TryParseByte(token, out _);
            _tokens[id.AsInt32()] = (token, isByte ? GgufTokenType.Byte : GgufTokenType.Normal);
        }

        JsonValue added = root["added_tokens"];
        foreach (JsonValue entry in added.IsNull ? [] : added.Items())
        {
            AddedToken token = AddedToken.Read(entry["id"].AsInt32(), entry, normalizes: false);
            _tokens[token.Id] = (token.Content, token.Special ? GgufTokenType.Control : GgufTokenType.UserDefined);
        }

        foreach (JsonValue merge in _model["merges"].Items())
            _merges.Add(TokenizerJsonModel.ReadPair(merge));
    }

    /// <summary>The vocabulary under its <c>tokenizer</c> keys, without the special tokens' ids.</summary>
    /// <param name="path">The file.</param>
    /// <param name="size">Rows of the model's embedding: the vocabulary is filled up to them, as converters do.</param>
    public static Dictionary<string, object> Read(string path, int size)
    {
        using JsonFile file = JsonFile.Open(path);
        var export = new TokenizerJsonExport(file.Root);
        Dictionary<string, object> keys = export.Tokens(path, size);
        TokenizerJsonPipeline pipeline = TokenizerJsonPipeline.Read(file.Root);
        if (pipeline.ByteLevel)
            export.AddByteLevel(keys);
        else
            export.AddSentencePiece(keys, pipeline, Encoding.UTF8.GetString(BoundedFile.Read(path)));
        return keys;
    }

    private Dictionary<string, object> Tokens(string path, int size)
    {
        if (_tokens.Count > 0 && (_tokens.Keys.First() < 0 || _tokens.Keys.Last() >= size))
            throw new ModelFileException($"{path} has tokens from {_tokens.Keys.First()} to {_tokens.Keys.Last()}, but the model has rows for {size}");
        var texts = new string[size];
        var types = new int[size];
        for (int id = 0; id < size; id++)
        {
            (string text, GgufTokenType type) = _tokens.TryGetValue(id, out (string, GgufTokenType) token) ? token : ($"[PAD{id}]", GgufTokenType.Unused);
            (texts[id], types[id]) = (text, (int)type);
        }

        return new Dictionary<string, object> { ["tokenizer.ggml.tokens"] = texts, ["tokenizer.ggml.token_type"] = types };
    }

    private void AddByteLevel(Dictionary<string, object> keys)
    {
        keys["tokenizer.ggml.model"] = "gpt2";
        keys["tokenizer.ggml.pre"] = "llama-bpe";
        keys["tokenizer.ggml.merges"] = _merges.Select(merge => $"{merge.Left} {merge.Right}").ToArray();
    }

    private void AddSentencePiece(Dictionary<string, object> keys, TokenizerJsonPipeline pipeline, string json)
    {
        var ranks = new Dictionary<string, int>();
        foreach ((string left, string right) in _merges)
            ranks.TryAdd(left + right, ranks.Count);
        string[] texts = (string[])keys["tokenizer.ggml.tokens"];
        keys["tokenizer.ggml.model"] = "llama";
        keys["tokenizer.ggml.scores"] = Array.ConvertAll(texts, text => -(float)ranks.GetValueOrDefault(text, ranks.Count));
        keys["tokenizer.ggml.add_space_prefix"] = pipeline.Prefix != Bpe.DummyPrefix.Never;
        keys["tokenizer.huggingface.json"] = json;
        int unknown = _model["unk_token"] is { IsNull: false } name ? Array.IndexOf(texts, name.AsString()) : -1;
        if (unknown < 0)
            return;
        keys["tokenizer.ggml.unknown_token_id"] = (uint)unknown;
        ((int[])keys["tokenizer.ggml.token_type"])[unknown] = (int)GgufTokenType.Unknown;
    }
}
