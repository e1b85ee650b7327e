using Llama3Cluster.Gateway.Tokenizers.Bpe;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>The model and the added tokens of a tokenizer.json.</summary>
internal sealed class TokenizerJsonModel
{
    private readonly JsonValue _model;
    private readonly Dictionary<string, int> _tokens;
    private readonly List<AddedToken> _added;
    private readonly bool _byteFallback;

    private TokenizerJsonModel(JsonValue model, Dictionary<string, int> tokens, List<AddedToken> added)
    {
        _model = model;
        _tokens = tokens;
        _added = added;
        _byteFallback = model["byte_fallback"].AsBoolean(absent: false);
    }

    public static TokenizerJsonModel Read(JsonValue root)
    {
        JsonValue model = root["model"];
        if (model["type"] is { IsNull: false } type && type.AsString() != "BPE")
            throw type.Unsupported("BPE");
        model.AllowOnly(
            "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
            "ignore_merges", "vocab", "merges");
        RequireAbsent(model["dropout"]);
        RequireAbsent(model["continuing_subword_prefix"]);
        RequireAbsent(model["end_of_word_suffix"]);

        var tokens = new Dictionary<string, int>();
        foreach ((string token, JsonValue id) in model["vocab"].Members())
            tokens.Add(token, id.AsInt32());

        var added = new List<AddedToken>();
        bool normalizes = !root["normalizer"].IsNull
            || (root["pre_tokenizer"] is { IsNull: false } preTokenizer && preTokenizer["type"].AsString() == "Metaspace");
        JsonValue entries = root["added_tokens"];
        foreach (JsonValue entry in entries.IsNull ? [] : entries.Items())
        {
            AddedToken token = AddedToken.Read(entry["id"].AsInt32(), entry, normalizes);
            added.Add(token);

            // Added tokens may be part of the vocabulary too; they leave it, as no merge may make them.
            if (tokens.Remove(token.Content, out int id) && id != token.Id)
            {
                throw new ModelFileException(
                    $"{entry.Path}: {token.Content} has the id {token.Id} here and {id} in the vocabulary");
            }
        }

        return new TokenizerJsonModel(model, tokens, added);
    }

    /// <summary>Byte-level BPE with Llama 3's split.</summary>
    public (Vocabulary Vocabulary, ITextEncoder Encoder) ByteLevel()
    {
        if (_byteFallback)
            throw _model["byte_fallback"].Unsupported("false beside a byte-level decoder");

        var vocabulary = new Vocabulary(TokenizerJsonFile.Name);
        var ids = new ByteStringMap();
        foreach ((string token, int id) in _tokens)
        {
            byte[] bytes = ByteLevelAlphabet.Decode(token)
                ?? throw new ModelFileException(
                    $"{_model.Path}.vocab: the token '{token}' (id {id}) is not in the byte-level alphabet");
            vocabulary.AddText(id, bytes);
            ids.TryAdd(bytes, id);
        }

        int missing = Array.IndexOf(ids.SingleBytes(), -1);
        if (missing >= 0)
        {
            throw new ModelFileException(
                $"{_model.Path}.vocab has no token for the byte 0x{missing:X2}; every text must be encodable");
        }

        Dictionary<string, int> inText = AddedToken.AddAll(_added, vocabulary);
        var encoder = new ByteLevelEncoder(
            new Llama3PreTokenizer(), ids, ReadMerges(), ignoreMerges: _model["ignore_merges"].AsBoolean(absent: false));
        return (vocabulary, AddedTokenEncoder.Wrap(encoder, inText));
    }

    /// <summary>SentencePiece's BPE.</summary>
    public (Vocabulary Vocabulary, ITextEncoder Encoder) SentencePiece(TokenizerJsonPipeline pipeline)
    {
        JsonValue ignoreMerges = _model["ignore_merges"];
        if (ignoreMerges.AsBoolean(absent: false))
            throw ignoreMerges.Unsupported("false beside SentencePiece's decoder");

        var pieces = new SentencePieceVocabulary(TokenizerJsonFile.Name);
        foreach ((string token, int id) in _tokens)
            pieces.Add(id, token, isByte: _byteFallback && SentencePieceVocabulary.TryParseByte(token, out _));

        Dictionary<string, int> inText = AddedToken.AddAll(_added, pieces.Vocabulary);
        if (inText.Count > 0 && pipeline.PrefixFirstOnly)
        {
            throw new ModelFileException($"{TokenizerJsonFile.Name}: prepend_scheme 'first' is not supported beside added tokens "
                + "that are not special");
        }

        var encoder = new SentencePieceEncoder(new SentencePieceOptions
        {
            Characters = pieces.Characters,
            Merges = ReadMerges(),
            ByteTokens = pieces.ByteTokens,
            UnknownToken = ReadUnknown(pieces),
            FuseUnknown = _model["fuse_unk"].AsBoolean(absent: false),
            Prefix = pipeline.Prefix,
        });
        return (pieces.Vocabulary, AddedTokenEncoder.Wrap(encoder, inText));
    }

    private int? ReadUnknown(SentencePieceVocabulary pieces)
    {
        JsonValue name = _model["unk_token"];
        if (name.IsNull && pieces.HasAllBytes)
            return null;
        if (name.IsNull)
        {
            throw new ModelFileException($"{_model.Path} has neither an unk_token nor a token for every byte; every text must be "
                + "encodable");
        }

        if (_added.Find(token => token.Content == name.AsString()) is { } added)
            return added.Id;
        return _tokens.TryGetValue(name.AsString(), out int id) ? id : throw name.Unsupported("a token of the vocabulary");
    }

    private MergeTable ReadMerges()
    {
        var table = new MergeTable();
        int rank = 0;
        foreach (JsonValue merge in _model["merges"].Items())
        {
            (string left, string right) = ReadPair(merge);
            if (!_tokens.TryGetValue(left, out int leftId) || !_tokens.TryGetValue(right, out int rightId)
                || !_tokens.TryGetValue(left + right, out int token))
            {
                throw new ModelFileException(
                    $"{merge.Path}: '{left}' and '{right}' make '{left + right}', and not all three are in the vocabulary");
            }

            table.Add(leftId, rightId, rank++, token);
        }

        return table;
    }

    /// <summary>A pair, written as "left right" or as ["left", "right"].</summary>
    public static (string Left, string Right) ReadPair(JsonValue merge)
    {
        string[] parts = merge.IsArray ? [.. merge.Items().Select(part => part.AsString())] : merge.AsString().Split(' ');
        return parts.Length == 2 ? (parts[0], parts[1]) : throw merge.Unsupported("a pair of tokens");
    }

    private static void RequireAbsent(JsonValue value)
    {
        if (!value.IsNull && !(value.IsString && value.AsString().Length == 0))
            throw value.Unsupported("null");
    }
}
