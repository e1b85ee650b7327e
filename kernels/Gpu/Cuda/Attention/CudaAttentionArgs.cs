namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>Arguments of attention on the tensor cores. Addresses are of global memory.</summary>
internal struct CudaAttentionArgs
{
    /// <summary>The batch's positions, one int32 a row.</summary>
    public ulong Positions;

    /// <summary>The rows' sequences, one int32 a row.</summary>
    public ulong RowSequences;

    /// <summary>The sequences, five int32 each, as in <see cref="Devices.BatchSequence"/>.</summary>
    public ulong Sequences;

    /// <summary>The block tables.</summary>
    public ulong Blocks;

    /// <summary>First row and number of rows of each tile, two int32.</summary>
    public ulong Tiles;

    /// <summary>Queries, float32.</summary>
    public ulong Query;

    /// <summary>The layer's keys: [block][KV head][chunk of 8 elements][position], 16 bytes a chunk.</summary>
    public ulong Keys;

    /// <summary>The layer's values: [block][KV head][position][chunk of 8 elements].</summary>
    public ulong Values;

    /// <summary>Results, float32.</summary>
    public ulong Output;

    /// <summary>States of single spans: [row][head][span] of the sums, the largest score, the weight; float32.</summary>
    public ulong Partials;

    public int QueryStride;
    public int OutputStride;
    public int Heads;
    public int KvHeads;

    /// <summary>Tiles.</summary>
    public int TileCount;

    /// <summary>Spans of the longest context.</summary>
    public int Spans;

    /// <summary>1 if each warp takes one span, and a second kernel merges them; 0 if a warp takes all spans of its tile.</summary>
    public int Split;

    /// <summary>What a score is multiplied by to be a power of two's exponent: log2(e) / sqrt(head size).</summary>
    public float Scale;
}
