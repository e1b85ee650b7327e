using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Rotates queries and keys and stores keys and values in their blocks; a chunk is one row.</summary>
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
    public int* Positions;
    public int* RowSequences;
    public BatchSequence* Sequences;
    public int* Blocks;

    public readonly void Run(int chunk, int worker)
    {
        float* query = Query + (chunk * (long)Heads * HeadDim);
        float* key = Key + (chunk * (long)KvHeads * HeadDim), value = Value + (chunk * (long)KvHeads * HeadDim);
        float* cos = stackalloc float[2 * HeadDim];
        float* sin = cos + HeadDim;
        Spread(Angles + (chunk * (long)HeadDim), cos, sin);
        Rotate(query, Heads, cos, sin);
        Rotate(key, KvHeads, cos, sin);

        int position = Positions[chunk], inBlock = position % KvShape.BlockSize;
        int block = Blocks[Sequences[RowSequences[chunk]].BlockOffset + (position / KvShape.BlockSize)];
        for (int head = 0; head < KvHeads; head++)
        {
            Store(key + (head * HeadDim), Kv.Keys(block, head), inBlock * HeadDim);
            Store(value + (head * HeadDim), Kv.Values(block, head), inBlock * HeadDim);
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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

    private readonly void Store(float* source, byte* destination, int first)
    {
        switch (Format)
        {
            case KvFormat.F32:
                Unsafe.CopyBlockUnaligned((float*)destination + first, source, (uint)(HeadDim * sizeof(float)));
                break;
            case KvFormat.F16:
                for (int i = 0; i < HeadDim; i++)
                    ((Half*)destination)[first + i] = (Half)source[i];
                break;
            default:
                for (int i = 0; i < HeadDim; i++)
                    ((ushort*)destination)[first + i] = Bf16.FromSingle(source[i]);
                break;
        }
    }
}
