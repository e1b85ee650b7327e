using System.Buffers;
using System.Globalization;
using System.Text;
using Llama3Cluster.Gateway.Tokenizers.Bpe;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>Collects the pieces of a SentencePiece vocabulary: their bytes, and which are single characters or bytes.</summary>
internal sealed class SentencePieceVocabulary(string source)
{
    private readonly Dictionary<Rune, int> _characters = [];

    public Vocabulary Vocabulary { get; } = new(source);

    /// <summary>Pieces of one character.</summary>
    public IReadOnlyDictionary<Rune, int> Characters => _characters;

    /// <summary>The piece of each byte; -1 where there is none.</summary>
    public int[] ByteTokens { get; } = [.. Enumerable.Repeat(-1, 256)];

    public bool HasAllBytes => !ByteTokens.Contains(-1);

    /// <summary>Adds a piece of text, or of one byte, spelt <c>&lt;0x0A&gt;</c>.</summary>
    public void Add(int id, string piece, bool isByte)
    {
        if (isByte && TryParseByte(piece, out byte value))
        {
            Vocabulary.AddText(id, [value]);
            ByteTokens[value] = id;
            return;
        }

        Vocabulary.AddText(id, Encoding.UTF8.GetBytes(piece.Replace(SentencePieceOptions.Space, ' ')));
        if (Rune.DecodeFromUtf16(piece, out Rune rune, out int length) == OperationStatus.Done && length == piece.Length)
            _characters.TryAdd(rune, id);
    }

    public static bool TryParseByte(string piece, out byte value)
    {
        value = 0;
        return piece is ['<', '0', 'x', _, _, '>']
            && byte.TryParse(piece.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }
}
