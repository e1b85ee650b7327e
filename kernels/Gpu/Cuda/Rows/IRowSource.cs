using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Rows;

/// <summary>What the elements of a row are computed from.</summary>
internal interface IRowSource
{
    /// <summary>Whether the row is divided by the root of its input's mean square.</summary>
    static abstract bool IsNormed { get; }

    /// <summary>Four elements, before that division, from their input.</summary>
    static abstract Sums Apply(Sums input, RowParameters parameters, int row, int column);
}

/// <summary>The elements as they are.</summary>
internal readonly struct PlainRows : IRowSource
{
    public static bool IsNormed => false;

    public static Sums Apply(Sums input, RowParameters parameters, int row, int column) => input;
}

/// <summary>RMSNorm: times a gain.</summary>
internal readonly struct NormedRows : IRowSource
{
    public static bool IsNormed => true;

    public static Sums Apply(Sums input, RowParameters parameters, int row, int column)
    {
        Sums gain = Ptx.LoadFloats(parameters.Partner + (uint)(column * sizeof(float)));
        Sums result;
        result.X = Ptx.Multiply(input.X, gain.X);
        result.Y = Ptx.Multiply(input.Y, gain.Y);
        result.Z = Ptx.Multiply(input.Z, gain.Z);
        result.W = Ptx.Multiply(input.W, gain.W);
        return result;
    }
}

/// <summary>SwiGLU: silu of the gate, times the partner.</summary>
internal readonly struct GatedRows : IRowSource
{
    private const float Log2E = 1.44269504f;

    public static bool IsNormed => false;

    public static Sums Apply(Sums input, RowParameters parameters, int row, int column)
    {
        Sums up = Ptx.LoadFloats(parameters.Partner + ((((ulong)(uint)row * (uint)parameters.Columns) + (uint)column) * sizeof(float)));
        Sums result;
        result.X = Gate(input.X, up.X);
        result.Y = Gate(input.Y, up.Y);
        result.Z = Gate(input.Z, up.Z);
        result.W = Gate(input.W, up.W);
        return result;
    }

    private static float Gate(float gate, float up) =>
        Ptx.Multiply(Ptx.Divide(gate, Ptx.Add(1, Ptx.Exp2(Ptx.Multiply(gate, -Log2E)))), up);
}
