using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>What <see cref="CandidateKernel"/> takes.</summary>
internal struct CandidateArgs
{
    /// <summary>The logits.</summary>
    public ArrayView<float> Logits;

    /// <summary>Elements from row to row.</summary>
    public int Stride;

    /// <summary>Elements of a row.</summary>
    public int Columns;

    /// <summary>How many of each row are wanted: at most <see cref="Candidate.Most"/>, and no more than it has.</summary>
    public int Count;

    /// <summary>The first row.</summary>
    public int FirstRow;

    /// <summary>Index and value, best first: [rows, count].</summary>
    public ArrayView<U2> Best;
}

/// <summary>
/// Finds the largest elements of each row by radix selection. An element and its index make one key of 64 bits, so that no two are equal; the
/// smallest wanted key is found byte by byte, by counting. Only keys that reach a bound are counted: of the largest keys of all threads the
/// one that as many reach as are wanted.
/// </summary>
internal static class CandidateKernel
{
    private const int GroupSize = 256;
    private const int Digits = 256;

    private const uint Sign = 0x80000000, Infinity = 0x7F800000;

    /// <summary>Grid: rows.</summary>
    public static readonly KernelEntry<CandidateArgs> Entry = new(new KernelTraits("candidates", GroupSize, MinGroups: 2, Hot: false), SelectOfRow);

    private static void SelectOfRow(CandidateArgs args)
    {
        ArrayView<ulong> keys = SharedMemory.Allocate<ulong>(GroupSize + 1);
        ArrayView<int> counts = SharedMemory.Allocate<int>(Digits);
        ulong bound = Bound(args, keys), least = Least(args, bound, counts);

        // Every thread puts the wanted keys that it meets to the others; then each goes where it belongs.
        if (Group.IdxX == 0)
            counts[0] = 0;
        Group.Barrier();
        for (int i = Group.IdxX; i < args.Columns; i += GroupSize)
        {
            ulong key = KeyAt(args, i);
            if (key >= least)
                keys[Atomic.Add(ref counts[0], 1)] = key;
        }

        Group.Barrier();
        if (Group.IdxX < args.Count)
        {
            ulong own = keys[Group.IdxX];
            U2 candidate;
            candidate.X = ~(uint)own;
            candidate.Y = BitsOf((uint)(own >> 32));
            args.Best[((long)Grid.IdxX * args.Count) + RankOf(own, keys, args.Count)] = candidate;
        }
    }

    // A key that at least as many keys reach as are wanted: 0, or the wanted one of all threads' largest.
    private static ulong Bound(CandidateArgs args, ArrayView<ulong> keys)
    {
        ulong largest = 0;
        for (int i = Group.IdxX; i < args.Columns; i += GroupSize)
        {
            ulong key = KeyAt(args, i);
            largest = key > largest ? key : largest;
        }

        keys[Group.IdxX] = largest;
        if (Group.IdxX == 0)
            keys[GroupSize] = 0;
        Group.Barrier();
        if (RankOf(largest, keys, GroupSize) == args.Count - 1)
            keys[GroupSize] = largest;
        Group.Barrier();
        return keys[GroupSize];
    }

    // A number that the wanted keys reach and no others: the smallest of them, or less.
    private static ulong Least(CandidateArgs args, ulong bound, ArrayView<int> counts)
    {
        // One way out of the loop: some OpenCL compilers lose threads at a barrier that another way out leads past.
        const int DigitBits = 8, KeyBits = 64;
        ulong prefix = 0;
        int left = args.Count, shift = KeyBits;
        bool isExact = false;
        while (shift > 0 && !isExact)
        {
            shift -= DigitBits;
            counts[Group.IdxX] = 0;
            Group.Barrier();
            for (int i = Group.IdxX; i < args.Columns; i += GroupSize)
            {
                ulong key = KeyAt(args, i);
                if (key >= bound && key >> shift >> DigitBits == prefix)
                    Atomic.Add(ref counts[(int)(key >> shift) & (Digits - 1)], 1);
            }

            Group.Barrier();
            int digit = Digits - 1, count = counts[digit];
            while (count < left && digit > 0)
            {
                left -= count;
                digit--;
                count = counts[digit];
            }

            prefix = (prefix << DigitBits) | (uint)digit;
            isExact = count == left;
            Group.Barrier();
        }

        ulong least = prefix << shift;
        return least > bound ? least : bound;
    }

    // How many of the first keys are larger.
    private static int RankOf(ulong key, ArrayView<ulong> keys, int count)
    {
        int rank = 0;
        for (int i = 0; i < count; i++)
            rank += keys[i] > key ? 1 : 0;
        return rank;
    }

    // Larger for a larger element, and of equals for the lower index.
    private static ulong KeyAt(CandidateArgs args, int column)
    {
        long row = (long)args.FirstRow + Grid.IdxX;
        uint bits = Bits.FloatAsInt(args.Logits[(row * args.Stride) + column]);
        uint order = (bits & Sign) != 0 ? ~bits : bits | Sign;
        if (bits == Sign)
            order = Sign; // -0 is 0
        if ((bits & ~Sign) > Infinity)
            order = 0;

        // A subtraction: ILGPU widens the complement of an int with its sign.
        return ((ulong)order << 32) | (uint.MaxValue - (ulong)column);
    }

    // A key's 0 becomes a NaN.
    private static uint BitsOf(uint order) => (order & Sign) != 0 ? order & ~Sign : ~order;
}
