namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>Tokens by their bytes, found without allocating.</summary>
internal sealed class ByteStringMap
{
    private readonly Dictionary<byte[], int> _ids = new(new ByteStringComparer());
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _lookup;

    public ByteStringMap() => _lookup = _ids.GetAlternateLookup<ReadOnlySpan<byte>>();

    /// <summary>Adds a token; false if another has the same bytes.</summary>
    public bool TryAdd(byte[] bytes, int id) => _ids.TryAdd(bytes, id);

    public bool TryGet(ReadOnlySpan<byte> bytes, out int id) => _lookup.TryGetValue(bytes, out id);

    /// <summary>The token of each single byte; -1 where the vocabulary has none.</summary>
    public int[] SingleBytes()
    {
        var tokens = new int[256];
        for (int value = 0; value < tokens.Length; value++)
            tokens[value] = TryGet([(byte)value], out int id) ? id : -1;
        return tokens;
    }

    private sealed class ByteStringComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
