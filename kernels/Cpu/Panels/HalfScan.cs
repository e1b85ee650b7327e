using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Looks for infinities and NaNs in half-precision weights, which take longer to widen. A chunk is a row.</summary>
internal unsafe struct HalfScan : IParallelJob
{
    private const ushort Exponent = 0x7C00;

    private TensorData _weights;
    private int* _found;

    /// <summary>Whether all weights are finite.</summary>
    public static bool IsFinite(TensorData weights, WorkerPool pool)
    {
        int found = 0;
        var job = new HalfScan { _weights = weights, _found = &found };
        pool.Run(&job, weights.Rows);
        return found == 0;
    }

    /// <inheritdoc/>
    public readonly void Run(int chunk, int worker)
    {
        var row = (ushort*)(_weights.Address + (chunk * (nint)_weights.RowBytes));
        Vector256<ushort> exponent = Vector256.Create(Exponent), special = Vector256<ushort>.Zero;
        int i = 0;
        for (; i + Vector256<ushort>.Count <= _weights.Columns; i += Vector256<ushort>.Count)
            special |= Vector256.Equals(Vector256.Load(row + i) & exponent, exponent);
        bool any = special != Vector256<ushort>.Zero;
        for (; i < _weights.Columns; i++)
            any |= (row[i] & Exponent) == Exponent;
        if (any)
            *_found = 1;
    }
}
