using System.Runtime.Intrinsics;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>
/// The same vectors as bits: 16-bit words that are multiplied and summed as whole numbers. Quantized weights come in blocks of 32, and
/// a block belongs to 128 bits of a vector: eight of its words in each of four vectors, and one partial sum in each of four lanes.
/// </summary>
/// <typeparam name="TV">The vector type.</typeparam>
internal unsafe interface IWordLanes<TV>
    where TV : unmanaged
{
    /// <summary>16 bytes a block: block i from <paramref name="first"/> + (i % 2) near + (i / 2) far.</summary>
    static abstract TV GatherBytes(byte* first, int near, int far);

    /// <summary>A half-precision number a block, finite, in each of the block's float lanes.</summary>
    static abstract TV GatherHalf(byte* first, int stride);

    /// <summary>The first element in the lanes of the first block, and so on.</summary>
    static abstract TV SplatToBlocks(Vector128<float> blocks);

    /// <summary>Shifts 32-bit numbers, those of block i by <paramref name="first"/> + (i % 2) near + (i / 2) far.</summary>
    static abstract TV ShiftBlocksRight(TV a, int first, int near, int far);

    static abstract TV SplatWord(short value);

    static abstract TV AndWords(TV a, TV b);

    static abstract TV OrWords(TV a, TV b);

    static abstract TV SubtractWords(TV a, TV b);

    /// <summary>The low halves of the products.</summary>
    static abstract TV MultiplyWords(TV a, TV b);

    static abstract TV ShiftWordsLeft(TV a, int bits);

    static abstract TV ShiftWordsRight(TV a, int bits);

    /// <summary>A shift that copies the sign.</summary>
    static abstract TV ShiftSignedWordsRight(TV a, int bits);

    /// <summary>a(2j) b(2j) + a(2j + 1) b(2j + 1) as 32-bit numbers.</summary>
    static abstract TV MultiplyWordsAddPairs(TV a, TV b);

    /// <summary>Sums of 32-bit numbers.</summary>
    static abstract TV AddIntegers(TV a, TV b);

    /// <summary>32-bit numbers as floats.</summary>
    static abstract TV IntegersToFloat(TV a);
}
