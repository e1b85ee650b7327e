using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>
/// Activations as 16-bit words with one scale a row, so that products with quantized weights are sums of whole numbers. Half a step is
/// 1/65534 of a row's largest activation: even if a row of n elements had only one that counts, that is at most sqrt(n) times the root mean
/// square, and the error below a thousandth of it. The groups are ordered as <see cref="IWordLoader"/> says; a chunk is a row.
/// </summary>
internal unsafe struct ActivationRows<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    private const float Largest = short.MaxValue;

    // Below this the inverse of a step would overflow; such a row counts as zero.
    private const float Negligible = 1e-30f;

    public float* Source;
    public int Columns;
    public float* Words;
    public float* Scales;

    /// <summary>Floats that a row takes.</summary>
    public static long RowFloats(int columns) => (long)WordGroup<TS, TV>.GroupsOf(columns) * WordGroup<TS, TV>.ActivationFloats;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Run(int chunk, int worker)
    {
        float* source = Source + (chunk * (long)Columns);
        float* groups = Words + (chunk * RowFloats(Columns));
        float largest = LargestMagnitude(source);
        bool usable = largest > Negligible && float.IsFinite(largest);

        // Infinities and NaNs spread to the whole row's results, as they do in a product of floats.
        Scales[chunk] = usable ? largest / Largest : largest > Negligible || float.IsNaN(largest) ? float.NaN : 0;
        Vector128<float> inverse = Vector128.Create(usable ? Largest / largest : 0);
        int blocks = Columns / WordGroup<TS, TV>.BlockColumns, perGroup = WordGroup<TS, TV>.Blocks;
        int all = WordGroup<TS, TV>.GroupsOf(Columns) * perGroup;
        for (int block = 0; block < all; block++)
        {
            short* to = (short*)(groups + (block / perGroup * WordGroup<TS, TV>.ActivationFloats)) + (block % perGroup * Vector128<short>.Count);
            int vector = perGroup * Vector128<short>.Count;
            if (block < blocks && usable)
            {
                float* from = source + (block * WordGroup<TS, TV>.BlockColumns);
                HalfBlock(from, inverse, to, to + (2 * vector));
                HalfBlock(from + 16, inverse, to + vector, to + (3 * vector));
            }
            else
            {
                for (int i = 0; i < 4; i++)
                    Vector128<short>.Zero.Store(to + (i * vector));
            }
        }

        for (int group = 0; group < all / perGroup; group++)
            AppendSums(groups + (group * WordGroup<TS, TV>.ActivationFloats));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AppendSums(float* group)
    {
        TV one = TS.SplatWord(1), sum = TS.MultiplyWordsAddPairs(TS.Load(group), one);
        for (int vector = 1; vector < 4; vector++)
            sum = TS.AddIntegers(sum, TS.MultiplyWordsAddPairs(TS.Load(group + (vector * TS.Count)), one));
        TS.Store(group + (4 * TS.Count), TS.IntegersToFloat(sum));
    }

    private readonly float LargestMagnitude(float* source)
    {
        Vector128<float> a = Vector128<float>.Zero, b = a;
        for (int i = 0; i < Columns; i += 8)
        {
            a = Vector128.Max(a, Vector128.Abs(Vector128.Load(source + i)));
            b = Vector128.Max(b, Vector128.Abs(Vector128.Load(source + i + 4)));
        }

        a = Vector128.Max(a, b);
        return MathF.Max(MathF.Max(a[0], a[1]), MathF.Max(a[2], a[3]));
    }

    // Sixteen elements, those with even and those with odd numbers apart.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void HalfBlock(float* source, Vector128<float> inverse, short* even, short* odd)
    {
        Vector128<int> first = Pairs(source, inverse), second = Pairs(source + 8, inverse);
        Vector128.Narrow((first << 16) >> 16, (second << 16) >> 16).Store(even);
        Vector128.Narrow(first >> 16, second >> 16).Store(odd);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Pairs(float* source, Vector128<float> inverse) =>
        Vector128.Narrow(Integers(source, inverse), Integers(source + 4, inverse)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Integers(float* source, Vector128<float> inverse) =>
        Vector128.ConvertToInt32Native(Vector128.Round(Vector128.Load(source) * inverse));
}
