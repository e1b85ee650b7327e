namespace Llama3Cluster.Kernels.Devices;

/// <summary>Which elements of a head RoPE rotates together.</summary>
public enum RopePairing : byte
{
    /// <summary>Elements j and j + d/2: Hugging Face's "rotate half" order of the query and key rows.</summary>
    Halves,

    /// <summary>Elements 2j and 2j + 1: the paper's order, which GGUF files of the "llama" architecture keep.</summary>
    Adjacent,
}
