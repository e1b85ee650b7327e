using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>What one warp does: up to 16 queries (the rows of a tile with the heads that share a KV head) over some spans.</summary>
internal struct AttentionWork
{
    /// <summary>Queries of a warp.</summary>
    public const int Queries = 16;

    /// <summary>Positions of a span: states of spans are gathered from nothing, and merged from the first to the last.</summary>
    public const int SpanLength = 64;

    private const int BlockSize = Devices.KvShape.BlockSize;
    private const int IntBytes = sizeof(int);

    /// <summary>The tile's first row.</summary>
    public int FirstRow;

    /// <summary>Queries in use.</summary>
    public int Count;

    /// <summary>Query heads that share a KV head.</summary>
    public int Group;

    public int KvHead;

    /// <summary>Visible positions of the longest query.</summary>
    public int Limit;

    /// <summary>Address of the sequence's block table.</summary>
    public ulong Table;

    public static AttentionWork Of(CudaAttentionArgs args, int tile, int kvHead)
    {
        AttentionWork work;
        work.FirstRow = (int)Ptx.Load4(args.Tiles + (uint)(tile * 2 * IntBytes));
        int rows = (int)Ptx.Load4(args.Tiles + (uint)(((tile * 2) + 1) * IntBytes));
        work.Group = args.Heads / args.KvHeads;
        work.Count = rows * work.Group;
        work.KvHead = kvHead;
        int last = work.FirstRow + rows - 1;
        work.Limit = (int)Ptx.Load4(args.Positions + (uint)(last * IntBytes)) + 1;
        int sequence = (int)Ptx.Load4(args.RowSequences + (uint)(last * IntBytes));
        int offset = (int)Ptx.Load4(args.Sequences + (uint)(((5 * sequence) + 3) * IntBytes));
        work.Table = args.Blocks + ((ulong)(uint)offset * IntBytes);
        return work;
    }

    /// <summary>The row of a query; of one beyond the last, the last one's.</summary>
    public readonly int RowOf(int query) => FirstRow + (ILGPU.IntrinsicMath.Min(query, Count - 1) / Group);

    /// <summary>The head of a query.</summary>
    public readonly int HeadOf(int query) => (KvHead * Group) + (ILGPU.IntrinsicMath.Min(query, Count - 1) % Group);

    /// <summary>Visible positions of a query.</summary>
    public readonly int LimitOf(CudaAttentionArgs args, int query) =>
        (int)Ptx.Load4(args.Positions + (uint)(RowOf(query) * IntBytes)) + 1;

    /// <summary>Bytes from the start of the layer's keys, or values, to a block of 16 positions; of one beyond the last, the last one's.</summary>
    public readonly ulong BlockAt(CudaAttentionArgs args, int position, uint headBytes)
    {
        int entry = ILGPU.IntrinsicMath.Min(position, Limit - 1) / BlockSize;
        uint block = Ptx.Load4(Table + ((ulong)(uint)entry * IntBytes));
        return (((ulong)block * (uint)args.KvHeads) + (uint)KvHead) * headBytes;
    }

    /// <summary>The last seen position of the block that <see cref="BlockAt"/> gives for a position.</summary>
    public readonly int LastIn(int position) => position + BlockSize <= Limit ? BlockSize - 1 : (Limit - 1) % BlockSize;
}
