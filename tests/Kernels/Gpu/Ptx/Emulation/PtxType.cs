namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>A type of PTX: kind and size in bits.</summary>
/// <param name="Kind">b, u, s, f, or p for predicates.</param>
/// <param name="Bits">Its size.</param>
internal readonly record struct PtxType(char Kind, int Bits)
{
    public static PtxType? TryParse(string word)
    {
        if (word == "pred")
            return new PtxType('p', 1);
        if (word.Length >= 2 && word[0] is 'b' or 'u' or 's' or 'f' && int.TryParse(word.AsSpan(1), out int bits))
            return new PtxType(word[0], bits);
        return null;
    }

    public int Bytes => Bits / 8;

    /// <summary>The value's bits cut to the size, and extended by its sign where it has one.</summary>
    public long Extend(ulong bits) => (Kind, Bits) switch
    {
        ('s', 8) => (sbyte)bits,
        ('s', 16) => (short)bits,
        ('s', 32) => (int)bits,
        (_, 64) => (long)bits,
        (_, 32) => (uint)bits,
        (_, 16) => (ushort)bits,
        (_, 8) => (byte)bits,
        _ => (long)(bits & 1),
    };

    /// <summary>Cut to the size.</summary>
    public ulong Cut(long value) => Bits switch
    {
        64 => (ulong)value,
        1 => (ulong)value & 1,
        _ => (ulong)value & ((1UL << Bits) - 1),
    };
}
