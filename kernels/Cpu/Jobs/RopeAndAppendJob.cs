using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// Rotates queries and keys and stores keys and values in their blocks; a chunk is a run of rows. Neighbouring positions share cache
/// lines, so threads do not take turns on them.
/// </summary>
internal unsafe struct RopeAndAppendJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public float* Query;
    public float* Key;
    public float* Value;
    public float* Angles;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public RopePairing Pairing;
    public KvFormat Format;
    public KvView Kv;
    public bool* MayHoldSpecials;
    public int* Positions;
    public int* RowSequences;
    public BatchSequence* Sequences;
    public int* Blocks;
    public int Rows;
    public int RowsPerChunk;

    public readonly void Run(int chunk, int worker)
    {
        float* cos = stackalloc float[2 * HeadDim];
        int first = chunk * RowsPerChunk, end = Math.Min(first + RowsPerChunk, Rows);
        for (int row = first; row < end; row++)
            Append(row, cos, cos + HeadDim);
    }

    private readonly void Append(int row, float* cos, float* sin)
    {
        float* query = Query + (row * (long)Heads * HeadDim);
        float* key = Key + (row * (long)KvHeads * HeadDim), value = Value + (row * (long)KvHeads * HeadDim);
        Spread(Angles + (row * (long)HeadDim), cos, sin);
        Rotate(query, Heads, cos, sin);
        Rotate(key, KvHeads, cos, sin);

        int position = Positions[row], inBlock = position % KvShape.BlockSize;
        int block = Blocks[Sequences[RowSequences[row]].BlockOffset + (position / KvShape.BlockSize)];
        var writer = new KvWriter<TS, TV>(Format, HeadDim, MayHoldSpecials);
        for (int head = 0; head < KvHeads; head++)
        {
            writer.Key(key + (head * HeadDim), Kv.Keys(block, head), inBlock);
            writer.Value(value + (head * HeadDim), Kv.Values(block, head), inBlock);
        }
    }

    // One cosine and one signed sine an element, so that rotated = x cos + partner sin for both elements of a pair.
    private readonly void Spread(float* angles, float* cos, float* sin)
    {
        int half = HeadDim / 2;
        for (int j = 0; j < half; j++)
        {
            int a = Pairing == RopePairing.Halves ? j : 2 * j;
            int b = Pairing == RopePairing.Halves ? j + half : a + 1;
            cos[a] = cos[b] = angles[j];
            sin[a] = -angles[half + j];
            sin[b] = angles[half + j];
        }
    }

    [MethodImpl(Jit.Alone)]
    private readonly void Rotate(float* x, int heads, float* cos, float* sin)
    {
        int half = HeadDim / 2;
        float* partners = stackalloc float[HeadDim];
        for (int head = 0; head < heads; head++, x += HeadDim)
        {
            if (Pairing == RopePairing.Halves)
            {
                Unsafe.CopyBlockUnaligned(partners, x + half, (uint)(half * sizeof(float)));
                Unsafe.CopyBlockUnaligned(partners + half, x, (uint)(half * sizeof(float)));
            }
            else
            {
                SwapPairs(x, partners);
            }

            int i = 0;
            for (; i + TS.Count <= HeadDim; i += TS.Count)
                TS.Store(x + i, TS.MultiplyAdd(TS.Load(partners + i), TS.Load(sin + i), TS.Multiply(TS.Load(x + i), TS.Load(cos + i))));
            for (; i < HeadDim; i++)
                x[i] = (x[i] * cos[i]) + (partners[i] * sin[i]);
        }
    }

    private readonly void SwapPairs(float* x, float* partners)
    {
        int i = 0;
        for (; i + TS.Count <= HeadDim; i += TS.Count)
            TS.Store(partners + i, TS.SwapPairs(TS.Load(x + i)));
        for (; i < HeadDim; i++)
            partners[i] = x[i ^ 1];
    }
}
