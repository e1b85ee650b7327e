using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Llama3Cluster.Gateway.Tokenizers.Bpe;
using Llama3Cluster.Shards.Files;
using Microsoft.ML.Tokenizers;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// Meta's tokenizer.model: a token in Base64 and its rank on each line. The special tokens follow the ranks; their names come
/// from the tokenizer_config.json beside the file, else they are Llama 3.1's.
/// </summary>
internal static class TiktokenFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "tokenizer.model";

    /// <summary>Llama 3's longest token has 128 bytes.</summary>
    private const int MaximumTokenLength = 1024;

    /// <summary>
    /// Whether a file is in this form rather than in SentencePiece's, which has the same name and begins with a field tag.
    /// </summary>
    public static bool IsTiktoken(string path) => !BoundedFile.StartsWith(path, "\n"u8.ToArray());

    public static ModelTokenizer Load(string path)
    {
        byte[] file = BoundedFile.Read(path);
        List<byte[]> tokens = Parse(file);
        var ids = new ByteStringMap();
        for (int rank = 0; rank < tokens.Count; rank++)
        {
            if (!ids.TryAdd(tokens[rank], rank))
                throw new ModelFileException($"{Name}: the token of rank {rank} has another rank too");
        }

        RequireAllBytes(ids);

        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        TokenizerConfigFile config = TokenizerConfigFile.Read(folder);
        var vocabulary = new Vocabulary(Name);
        for (int rank = 0; rank < tokens.Count; rank++)
            vocabulary.AddText(rank, tokens[rank]);
        Dictionary<string, int> inText = AddedToken.AddAll(config.AddedTokens ?? AfterRanks(tokens.Count), vocabulary);

        var preTokenizer = new Llama3PreTokenizer();
        TiktokenTokenizer library = TiktokenTokenizer.Create(new MemoryStream(file), preTokenizer, normalizer: null);
        var longPreTokens = new Lazy<ByteLevelEncoder>(
            () => new ByteLevelEncoder(preTokenizer, ids, MergeTable.FromRanks(tokens, ids), ignoreMerges: true));

        int? start = config.AddStartToken == false
            ? null
            : vocabulary.RequireSpecial(config.StartToken ?? Llama3SpecialTokens.BeginOfText, TokenizerConfigFile.Name);
        return new ModelTokenizer(
            vocabulary,
            AddedTokenEncoder.Wrap(new TiktokenEncoder(library, longPreTokens), inText),
            new TokenizerTraits(start, EndTokens.Collect(folder, vocabulary, config.EndToken), StripsLeadingSpace: false));
    }

    /// <summary>The tokens in the order of their ranks.</summary>
    private static List<byte[]> Parse(byte[] file)
    {
        var tokens = new List<byte[]>();
        ReadOnlySpan<byte> rest = file;
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? rest : rest[..end];
            rest = end < 0 ? [] : rest[(end + 1)..];

            int space = line.IndexOf((byte)' ');
            if (space <= 0)
                throw BadLine(tokens.Count, "is not a token in Base64, a space and its rank");

            var token = new byte[Base64.GetMaxDecodedFromUtf8Length(space)];
            if (Base64.DecodeFromUtf8(line[..space], token, out _, out int length) != OperationStatus.Done
                || Base64.GetMaxEncodedToUtf8Length(length) != space)
            {
                throw BadLine(tokens.Count, "has a token that is not Base64");
            }

            if (length is 0 or > MaximumTokenLength)
                throw BadLine(tokens.Count, $"has a token of {length} bytes; one has 1 to {MaximumTokenLength}");

            ReadOnlySpan<byte> number = line[(space + 1)..];
            if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int rank) || rank != tokens.Count)
                throw BadLine(tokens.Count, $"has the rank '{Excerpt(number)}', where {tokens.Count} is expected");

            tokens.Add(token[..length]);
        }

        return tokens;
    }

    private static void RequireAllBytes(ByteStringMap ids)
    {
        int missing = Array.IndexOf(ids.SingleBytes(), -1);
        if (missing >= 0)
            throw new ModelFileException($"{Name}: no token for the byte 0x{missing:X2}; every text must be encodable");
    }

    private static IEnumerable<AddedToken> AfterRanks(int ranks) =>
        Llama3SpecialTokens.AfterRanks.Select((name, index) => new AddedToken(ranks + index, name, Special: true));

    private static string Excerpt(ReadOnlySpan<byte> text) => Encoding.Latin1.GetString(text[..Math.Min(text.Length, 40)]);

    private static ModelFileException BadLine(int index, string problem) => new($"{Name}: line {index + 1} {problem}");
}
