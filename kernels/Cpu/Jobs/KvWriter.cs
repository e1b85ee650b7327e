using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// Stores one position's key or value of one head in its block (see <see cref="KvView"/>). Sets a mark when half precision may have made
/// an infinity, or a NaN is stored.
/// </summary>
internal readonly unsafe struct KvWriter<TS, TV>(KvFormat format, int headDim, bool* mayHoldSpecials)
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Below this sum of squares, no element rounds to an infinity, nor is one a NaN.
    private const float SurelyFinite = NarrowBits.HalfOverflow * NarrowBits.HalfOverflow;

    public void Key(float* source, byte* head, int position)
    {
        float* key = stackalloc float[headDim];
        switch (format)
        {
            case KvFormat.F32:
                Scatter(source, (float*)head + position);
                break;
            case KvFormat.Q8_0:
                KvQuantizer<TS, TV>.Quantize(source, headDim, (sbyte*)key, Q8KvLoader.Scale(head, headDim, 0, position));
                Scatter((sbyte*)key, (sbyte*)head + position);
                break;
            default:
                Narrow(source, (ushort*)key);
                Scatter((ushort*)key, (ushort*)head + position);
                break;
        }
    }

    public void Value(float* source, byte* head, int position)
    {
        int first = position * headDim;
        switch (format)
        {
            case KvFormat.F32:
                Unsafe.CopyBlockUnaligned((float*)head + first, source, (uint)(headDim * sizeof(float)));
                break;
            case KvFormat.Q8_0:
                KvQuantizer<TS, TV>.Quantize(source, headDim, (sbyte*)head + first, Q8KvLoader.Scale(head, headDim, 0, position));
                break;
            default:
                Narrow(source, (ushort*)head + first);
                break;
        }
    }

    private void Scatter<T>(T* key, T* destination)
        where T : unmanaged
    {
        for (int d = 0; d < headDim; d++)
            destination[d * KvShape.BlockSize] = key[d];
    }

    private void Narrow(float* source, ushort* destination)
    {
        if (format == KvFormat.F16)
            NarrowToHalf(source, destination);
        else
            NarrowToBf16(source, destination);
    }

    [MethodImpl(Jit.Alone)]
    private void NarrowToHalf(float* source, ushort* destination)
    {
        int i = 0;
        TV squares = TS.Splat(0);
        for (; i + TS.Count <= headDim; i += TS.Count)
        {
            TV elements = TS.Load(source + i);
            squares = TS.MultiplyAdd(elements, elements, squares);
            TS.StoreHalf(destination + i, elements);
        }

        float sum = TS.Sum(squares);
        for (; i < headDim; i++)
        {
            sum += source[i] * source[i];
            destination[i] = BitConverter.HalfToUInt16Bits((Half)source[i]);
        }

        if (!(sum < SurelyFinite))
            *mayHoldSpecials = true;
    }

    [MethodImpl(Jit.Alone)]
    private void NarrowToBf16(float* source, ushort* destination)
    {
        int i = 0;
        for (; i + TS.Count <= headDim; i += TS.Count)
            TS.StoreBf16(destination + i, TS.Load(source + i));
        for (; i < headDim; i++)
            destination[i] = Bf16.FromSingle(source[i]);
    }
}
