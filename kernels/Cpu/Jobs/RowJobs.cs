using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Looks rows of a table up; a chunk is one row.</summary>
internal unsafe struct EmbedJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public TensorData Table;
    public int* Tokens;
    public float* Output;

    public readonly void Run(int chunk, int worker) => RowDecoder<TS, TV>.Decode(
        Table.Format, (byte*)Table.Address + (Tokens[chunk] * Table.RowBytes), Table.Columns, Output + (chunk * (long)Table.Columns));
}

/// <summary>RMSNorm; a chunk is one row.</summary>
internal unsafe struct RmsNormJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public float* Input;
    public float* Gain;
    public float Epsilon;
    public int Columns;
    public float* Output;

    [MethodImpl(Jit.Alone)]
    public readonly void Run(int chunk, int worker)
    {
        float* x = Input + (chunk * (long)Columns), y = Output + (chunk * (long)Columns);
        int whole = Columns - (Columns % TS.Count), rest = Columns - whole;
        TV squares = TS.Splat(0);
        for (int i = 0; i < whole; i += TS.Count)
            squares = TS.MultiplyAdd(TS.Load(x + i), TS.Load(x + i), squares);
        TV tail = F32Loader.LoadPartial<TS, TV>((byte*)x, whole, rest);
        float sum = TS.Sum(TS.MultiplyAdd(tail, tail, squares));

        TV scale = TS.Splat(1 / MathF.Sqrt((sum / Columns) + Epsilon));
        for (int i = 0; i < whole; i += TS.Count)
            TS.Store(y + i, TS.Multiply(TS.Multiply(TS.Load(x + i), scale), TS.Load(Gain + i)));
        TV gain = F32Loader.LoadPartial<TS, TV>((byte*)Gain, whole, rest);
        LaneMath<TS, TV>.StorePartial(y + whole, TS.Multiply(TS.Multiply(tail, scale), gain), rest);
    }
}

/// <summary>Where each row's largest element is; a chunk is one row.</summary>
internal unsafe struct ArgMaxJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public float* Logits;
    public int Columns;
    public int* Indices;

    [MethodImpl(Jit.Alone)]
    public readonly void Run(int chunk, int worker)
    {
        float* row = Logits + (chunk * (long)Columns);
        int whole = Columns - (Columns % TS.Count);
        TV best = TS.Splat(row[0]);
        for (int i = 0; i < whole; i += TS.Count)
            best = TS.Greater(TS.Load(row + i), best);
        float* lanes = stackalloc float[TS.Count];
        TS.Store(lanes, best);
        float max = row[0];
        for (int i = 0; i < TS.Count; i++)
            max = lanes[i] > max ? lanes[i] : max;
        for (int i = whole; i < Columns; i++)
            max = row[i] > max ? row[i] : max;
        Indices[chunk] = FirstEqual(row, whole, max);
    }

    // A NaN at the head of a row beats everything and equals nothing: index 0.
    private readonly int FirstEqual(float* row, int whole, float max)
    {
        int start = 0;
        while (start < whole && !TS.AnyEqual(TS.Load(row + start), TS.Splat(max)))
            start += TS.Count;
        for (int i = start; i < Columns; i++)
        {
            if (row[i] == max)
                return i;
        }

        return 0;
    }
}

/// <summary>Gathers rows; a chunk is one row.</summary>
internal unsafe struct GatherJob : IParallelJob
{
    public float* Input;
    public int* Rows;
    public int Columns;
    public float* Output;

    public readonly void Run(int chunk, int worker) => Buffer.MemoryCopy(
        Input + (Rows[chunk] * (long)Columns), Output + (chunk * (long)Columns), Columns * (long)sizeof(float), Columns * (long)sizeof(float));
}

/// <summary>The rotations of one position; a chunk is one row. Double precision: far positions turn many times.</summary>
internal unsafe struct RopeAnglesJob : IParallelJob
{
    public float* Leading;
    public float* Rest;
    public int Half;
    public int* Positions;
    public float* Angles;

    public readonly void Run(int chunk, int worker)
    {
        float* angles = Angles + (chunk * 2L * Half);
        for (int j = 0; j < Half; j++)
        {
            (double sin, double cos) = Math.SinCos(Positions[chunk] * ((double)Leading[j] + Rest[j]));
            angles[j] = (float)cos;
            angles[Half + j] = (float)sin;
        }
    }
}
