using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Activations of 8 bits with a scale for each 16 columns, for weights of at most six bits: half a step is 1/254 of the largest of
/// sixteen, well below what such weights have lost. In memory, per block of 32 columns: the 32 signed bytes, the two scales, and two
/// correcting sums, the first for the whole block unless each half has its own. Rows alternate as
/// <see cref="RowTile"/> says. A chunk is a row.
/// </summary>
internal unsafe struct ByteActivations : IParallelJob
{
    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = Panel.BlockColumns + (4 * sizeof(float));

    /// <summary>Where in a block the scales and the sums are.</summary>
    public const int ScalesAt = Panel.BlockColumns, SumsAt = ScalesAt + (2 * sizeof(float));

    private const float Largest = sbyte.MaxValue;

    // Below this the inverse of a step would overflow; such activations count as zero.
    private const float Negligible = 1e-30f;

    public float* Source;
    public int Columns;
    public int RowCount;

    /// <summary>Rows of the largest tile that reads them.</summary>
    public int TileRows;
    public byte* Rows;

    /// <summary>See <see cref="IBytePanelFormat.SumFactor"/>.</summary>
    public float SumFactor;

    /// <summary>See <see cref="IBytePanelFormat.IsPerHalf"/>.</summary>
    public bool IsPerHalf;

    /// <summary>Bytes that a row takes.</summary>
    public static long RowBytes(int columns) => (long)(columns / Panel.BlockColumns) * BlockBytes;

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public readonly void Run(int chunk, int worker)
    {
        RowTile tile = RowTile.Of(chunk, RowCount, TileRows);
        float* source = Source + (chunk * (long)Columns), end = source + Columns;
        byte* block = Rows + (tile.First * RowBytes(Columns)) + ((chunk - tile.First) * BlockBytes);
        for (; source < end; source += Panel.BlockColumns, block += tile.Rows * BlockBytes)
        {
            var scales = (float*)(block + ScalesAt);
            var sums = (float*)(block + SumsAt);
            sums[0] = Quantize(source, (sbyte*)block, scales) * SumFactor;
            sums[1] = Quantize(source + Panel.HalfColumns, (sbyte*)block + Panel.HalfColumns, scales + 1) * SumFactor;
            if (!IsPerHalf)
                sums[0] += sums[1];
        }
    }

    // Sixteen columns; returns what their codes stand for, summed.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Quantize(float* source, sbyte* codes, float* scale)
    {
        Vector128<float> a = Vector128.Load(source), b = Vector128.Load(source + 4), c = Vector128.Load(source + 8), d = Vector128.Load(source + 12);
        Vector128<float> most = Vector128.Max(Vector128.Max(Vector128.Abs(a), Vector128.Abs(b)), Vector128.Max(Vector128.Abs(c), Vector128.Abs(d)));
        most = Vector128.Max(most, Vector128.Shuffle(most, Vector128.Create(2, 3, 0, 1)));
        float largest = MathF.Max(most[0], most[1]);
        if (!(largest > Negligible && float.IsFinite(largest)))
        {
            // Infinities and NaNs spread to the row's results, as they do in a product of floats.
            Vector128<sbyte>.Zero.Store(codes);
            *scale = largest > Negligible || float.IsNaN(largest) ? float.NaN : 0;
            return *scale;
        }

        Vector128<float> inverse = Vector128.Create(Largest / largest);
        Vector128<int> p = Round(a * inverse), q = Round(b * inverse), r = Round(c * inverse), s = Round(d * inverse);
        Vector128.Narrow(Vector128.Narrow(p, q), Vector128.Narrow(r, s)).Store(codes);
        *scale = largest / Largest;
        return Vector128.Sum(p + q + (r + s)) * *scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Round(Vector128<float> a) => Vector128.ConvertToInt32Native(Vector128.Round(a));
}
