namespace Llama3Cluster.Kernels.Devices;

/// <summary>What a weight matrix is loaded for: a device may arrange it accordingly.</summary>
[Flags]
public enum WeightUse : byte
{
    /// <summary>Rows are looked up by <see cref="ComputeDevice.Embed"/>.</summary>
    Lookup = 1,

    /// <summary>It is multiplied by, in <see cref="ComputeDevice.Linear(WeightMatrix, DeviceTensor, int, DeviceTensor)"/>.</summary>
    Product = 2,

    /// <summary>Both, as where the output head is the embedding table.</summary>
    LookupAndProduct = Lookup | Product,
}

/// <summary>One of several products with the same input.</summary>
/// <param name="Weights">The matrix.</param>
/// <param name="Output">Where the product goes.</param>
public readonly record struct LinearTarget(WeightMatrix Weights, DeviceTensor Output);
