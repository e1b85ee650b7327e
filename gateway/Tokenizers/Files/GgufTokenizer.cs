using Llama3Cluster.Gateway.Tokenizers.Bpe;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>Makes a tokenizer of a GGUF vocabulary, to the rules that llama.cpp has for the same file.</summary>
internal sealed class GgufTokenizer
{
    /// <summary>Far above any real token's; it bounds the work of finding the merges that a token implies.</summary>
    private const int MaximumTokenLength = 1024;

    private static readonly string[] Llama3Splits = ["llama3", "llama-v3", "llama-bpe"];

    private readonly GgufVocabulary _file;
    private readonly List<AddedToken> _added = [];

    private GgufTokenizer(GgufVocabulary file) => _file = file;

    public static ModelTokenizer Create(GgufVocabulary file)
    {
        var reader = new GgufTokenizer(file);
        reader.Validate();
        return file.Model switch
        {
            "gpt2" => reader.ByteLevel(),
            "llama" => reader.SentencePiece(),
            _ => throw reader.Error($"the tokenizer model '{file.Model}' is not supported; supported are gpt2 and llama"),
        };
    }

    /// <summary>The end tokens that a file names, and those that it need not name.</summary>
    public static HashSet<int> EndTokensOf(GgufVocabulary file, Vocabulary vocabulary)
    {
        HashSet<int> ends = EndTokens.OfVocabulary(vocabulary);
        foreach (long end in file.EndTokens)
            ends.Add(RequireToken(file, end, vocabulary, "eos_token_id, eot_token_id or eom_token_id")!.Value);
        return ends;
    }

    /// <summary>A token that a file names, if it does.</summary>
    public static int? RequireToken(GgufVocabulary file, long? token, Vocabulary vocabulary, string key)
    {
        if (token is < 0 || token >= vocabulary.Size)
            throw Error(file, $"tokenizer.ggml.{key} is {token}, which is outside the vocabulary, 0 to {vocabulary.Size - 1}");
        return (int?)token;
    }

    private void Validate()
    {
        if (_file.TokenTypes is { } types && types.Count != _file.Tokens.Count)
            throw Error($"{types.Count} token types for {_file.Tokens.Count} tokens");
        if (_file.AddEosToken)
            throw Error("add_eos_token is set, which is not supported: a prompt is not ended before its answer");

        int tooLong = _file.Tokens.Select(token => token.Length).ToList().FindIndex(length => length > MaximumTokenLength);
        if (tooLong >= 0)
            throw Error($"token {tooLong} has {_file.Tokens[tooLong].Length} characters; at most {MaximumTokenLength} are read");
    }

    private ModelTokenizer ByteLevel()
    {
        if (!Llama3Splits.Contains(_file.Pre))
        {
            throw Error($"the split pattern '{_file.Pre}' (tokenizer.ggml.pre) is not supported; supported are "
                + string.Join(", ", Llama3Splits));
        }

        if (_file.Merges is null)
            throw Error("tokenizer.ggml.merges is missing");

        var vocabulary = new Vocabulary(_file.Source);
        var ids = new ByteStringMap();
        var tokens = new Dictionary<string, int>();
        foreach ((int id, string token) in TextTokens())
        {
            byte[] bytes = ByteLevelAlphabet.Decode(token)
                ?? throw Error($"the token '{token}' (id {id}) is not in the byte-level alphabet");
            vocabulary.AddText(id, bytes);
            ids.TryAdd(bytes, id);
            tokens.TryAdd(token, id);
        }

        int missing = Array.IndexOf(ids.SingleBytes(), -1);
        if (missing >= 0)
            throw Error($"no token for the byte 0x{missing:X2}; every text must be encodable");

        Dictionary<string, int> inText = AddedToken.AddAll(_added, vocabulary);
        var encoder = new ByteLevelEncoder(new Llama3PreTokenizer(), ids, ReadMerges(_file.Merges, tokens), ignoreMerges: true);
        return Finish(vocabulary, AddedTokenEncoder.Wrap(encoder, inText), stripsLeadingSpace: false);
    }

    private ModelTokenizer SentencePiece()
    {
        if (_file.Scores is null || _file.Scores.Count != _file.Tokens.Count)
            throw Error($"{_file.Scores?.Count ?? 0} scores for {_file.Tokens.Count} tokens");
        if (_file.RemoveExtraWhitespaces)
            throw Error("tokenizer.ggml.remove_extra_whitespaces is set, which is not supported");

        var pieces = new SentencePieceVocabulary(_file.Source);
        var tokens = new Dictionary<string, int>();
        foreach ((int id, string token) in TextTokens())
        {
            bool isByte = TypeOf(id) == GgufTokenType.Byte;
            pieces.Add(id, token, isByte);
            if (!isByte)
                tokens.TryAdd(token, id);
        }

        Dictionary<string, int> inText = AddedToken.AddAll(_added, pieces.Vocabulary);
        int? unknown = RequireToken(_file, _file.UnknownToken, pieces.Vocabulary, "unknown_token_id");
        if (unknown is null && !pieces.HasAllBytes)
            throw Error("neither an unknown token nor a token for every byte; every text must be encodable");

        var encoder = new SentencePieceEncoder(new SentencePieceOptions
        {
            Characters = pieces.Characters,
            Merges = MergeTable.FromScores(tokens, _file.Scores),
            ByteTokens = pieces.ByteTokens,
            UnknownToken = unknown,
            FuseUnknown = false,
            Prefix = _file.AddSpacePrefix ? DummyPrefix.Always : DummyPrefix.Never,
        });
        return Finish(pieces.Vocabulary, AddedTokenEncoder.Wrap(encoder, inText), _file.AddSpacePrefix);
    }

    /// <summary>The tokens that merges work on; the others are set aside.</summary>
    private IEnumerable<(int Id, string Token)> TextTokens()
    {
        for (int id = 0; id < _file.Tokens.Count; id++)
        {
            string token = _file.Tokens[id];
            GgufTokenType type = TypeOf(id);
            if (type is GgufTokenType.Normal or GgufTokenType.Byte)
                yield return (id, token);
            else
                _added.Add(new AddedToken(id, token, Special: type != GgufTokenType.UserDefined));
        }
    }

    /// <summary>Files without types, and old ones that type control tokens as user-defined, still name them.</summary>
    private GgufTokenType TypeOf(int id)
    {
        if (Llama3SpecialTokens.IsControl(_file.Tokens[id]) || id == _file.BosToken || _file.EndTokens.Contains(id))
            return GgufTokenType.Control;

        int type = _file.TokenTypes?[id] ?? (int)GgufTokenType.Normal;
        return Enum.IsDefined((GgufTokenType)type)
            ? (GgufTokenType)type
            : throw Error($"token {id} has the type {type}; there are types 1 to 6");
    }

    private MergeTable ReadMerges(IReadOnlyList<string> merges, Dictionary<string, int> tokens)
    {
        var table = new MergeTable();
        for (int rank = 0; rank < merges.Count; rank++)
        {
            string[] parts = merges[rank].Split(' ');
            if (parts.Length != 2 || !tokens.TryGetValue(parts[0], out int left) || !tokens.TryGetValue(parts[1], out int right)
                || !tokens.TryGetValue(parts[0] + parts[1], out int token))
            {
                throw Error($"the merge {rank}, '{merges[rank]}', is not of two tokens that make a third");
            }

            table.Add(left, right, rank, token);
        }

        return table;
    }

    private ModelTokenizer Finish(Vocabulary vocabulary, ITextEncoder encoder, bool stripsLeadingSpace)
    {
        int? start = RequireToken(_file, _file.BosToken, vocabulary, "bos_token_id");
        if (start is null && vocabulary.Special.TryGetValue(Llama3SpecialTokens.BeginOfText, out int named))
            start = named;
        return new ModelTokenizer(
            vocabulary, encoder, new TokenizerTraits(_file.AddBosToken ? start : null, EndTokensOf(_file, vocabulary), stripsLeadingSpace));
    }

    private ModelFileException Error(string problem) => Error(_file, problem);

    private static ModelFileException Error(GgufVocabulary file, string problem) => new($"{file.Source}: {problem}");
}
