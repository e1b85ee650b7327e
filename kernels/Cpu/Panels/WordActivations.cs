using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Activations of 16 bits with one scale a row, for weights of eight bits. Half a step is 1/65534 of a row's largest activation: even if
/// a row of n elements had only one that counts, that is at most sqrt(n) times the root mean square, and the error below a thousandth of
/// it. Of each four columns the first and the third come first, then the second and the fourth, as splitting bytes off words yields
/// weights. Rows alternate as <see cref="RowTile"/> says. A chunk is a row.
/// </summary>
internal unsafe struct WordActivations : IParallelJob
{
    /// <summary>Bytes of 32 columns.</summary>
    public const int BlockBytes = Panel.BlockColumns * sizeof(short);

    private const float Largest = short.MaxValue;

    // Below this the inverse of a step would overflow; such a row counts as zero.
    private const float Negligible = 1e-30f;

    public float* Source;
    public int Columns;
    public int RowCount;

    /// <summary>Rows of the largest tile that reads them.</summary>
    public int TileRows;
    public byte* Rows;
    public float* Scales;

    /// <summary>Bytes that a row takes.</summary>
    public static long RowBytes(int columns) => (long)(columns / Panel.BlockColumns) * BlockBytes;

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public readonly void Run(int chunk, int worker)
    {
        RowTile tile = RowTile.Of(chunk, RowCount, TileRows);
        float* source = Source + (chunk * (long)Columns);
        byte* block = Rows + (tile.First * RowBytes(Columns)) + ((chunk - tile.First) * BlockBytes);
        float largest = LargestMagnitude(source);
        bool usable = largest > Negligible && float.IsFinite(largest);

        // Infinities and NaNs spread to the whole row's results, as they do in a product of floats.
        Scales[chunk] = usable ? largest / Largest : largest > Negligible || float.IsNaN(largest) ? float.NaN : 0;
        Vector128<float> inverse = Vector128.Create(usable ? Largest / largest : 0);
        for (int i = 0; i < Columns; i += Panel.BlockColumns, block += tile.Rows * BlockBytes)
        {
            if (usable)
                Quantize(source + i, inverse, (short*)block);
            else
                Unsafe.InitBlockUnaligned(block, 0, BlockBytes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quantize(float* source, Vector128<float> inverse, short* words)
    {
        for (int i = 0; i < Panel.BlockColumns; i += 8)
        {
            Vector128<short> ordered = Vector128.Narrow(Integers(source + i, inverse), Integers(source + i + 4, inverse));
            Vector128.Shuffle(ordered, Vector128.Create(0, 2, 1, 3, 4, 6, 5, 7)).Store(words + i);
        }
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Integers(float* source, Vector128<float> inverse) =>
        Vector128.ConvertToInt32Native(Vector128.Round(Vector128.Load(source) * inverse));
}
