namespace Llama3Cluster.Kernels.Gpu.Cuda.Rows;

/// <summary>Arguments of the kernels that make activations ready for the tensor cores.</summary>
internal struct RowParameters
{
    /// <summary>Address of the input, float32 [rows, columns].</summary>
    public ulong Input;

    /// <summary>Address of what goes with it, float32: the norm's gain [columns], or what the activated gate is multiplied by [rows, columns].</summary>
    public ulong Partner;

    /// <summary>Address of the result (see <see cref="ActivationLayout"/>).</summary>
    public ulong Activations;

    /// <summary>Address of the powers of two that a product of these rows is multiplied by, float32 [rows].</summary>
    public ulong RowScales;

    /// <summary>Elements of a row: a multiple of 256.</summary>
    public int Columns;

    /// <summary>The norm's epsilon.</summary>
    public float Epsilon;
}
