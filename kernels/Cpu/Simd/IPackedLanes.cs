namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>The same vectors as bits: bytes, 16-bit words and 32-bit numbers that are multiplied and summed as whole numbers.</summary>
/// <typeparam name="TV">The vector type.</typeparam>
internal unsafe interface IPackedLanes<TV>
    where TV : unmanaged
{
    static abstract TV SplatWord(short value);

    /// <summary>The same two words in every lane.</summary>
    static abstract TV SplatPair(byte* words);

    static abstract TV AndWords(TV a, TV b);

    static abstract TV OrWords(TV a, TV b);

    static abstract TV ShiftWordsLeft(TV a, int bits);

    static abstract TV ShiftWordsRight(TV a, int bits);

    /// <summary>A shift that copies the sign.</summary>
    static abstract TV ShiftSignedWordsRight(TV a, int bits);

    /// <summary>a(2j) b(2j) + a(2j + 1) b(2j + 1) as 32-bit numbers.</summary>
    static abstract TV MultiplyWordsAddPairs(TV a, TV b);

    /// <summary>
    /// The dot products of 16 unsigned bytes, four in the lane of each vector, with the 16 signed bytes at <paramref name="x"/>: whole
    /// numbers, as floats. The unsigned bytes are at most 31, so that four products fit 16 bits; the signed ones at least -127.
    /// </summary>
    static abstract TV DotBytes(TV a, TV b, TV c, TV d, byte* x);

    /// <summary><see cref="DotBytes"/> for unsigned bytes up to 63.</summary>
    static abstract TV DotWideBytes(TV a, TV b, TV c, TV d, byte* x);

    /// <summary>Sums of 32-bit numbers.</summary>
    static abstract TV AddIntegers(TV a, TV b);

    /// <summary>32-bit numbers as floats.</summary>
    static abstract TV IntegersToFloat(TV a);

    /// <summary>Unsigned bytes as floats.</summary>
    static abstract TV LoadByte(byte* source);
}
