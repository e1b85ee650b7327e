using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Quantizes keys and values to <see cref="KvFormat.Q8_0"/>, to the same bytes and scales as the weight format of that name.</summary>
internal static unsafe class KvQuantizer<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    private const float Largest = 127;

    /// <summary>Quantizes one head's key or value.</summary>
    /// <param name="source">Its elements.</param>
    /// <param name="count">How many: whole groups.</param>
    /// <param name="bytes">Where the bytes go.</param>
    /// <param name="scales">Where the scales go, <see cref="KvShape.BlockSize"/> apart.</param>
    [MethodImpl(Jit.Alone)]
    public static void Quantize(float* source, int count, sbyte* bytes, ushort* scales)
    {
        for (int group = 0; group < count; group += KvShape.ScaleGroup, scales += KvShape.BlockSize)
        {
            TV max = TS.Splat(0), vanishing = max;
            for (int i = group; i < group + KvShape.ScaleGroup; i += TS.Count)
            {
                TV x = TS.Load(source + i);
                max = TS.Max(max, TS.Max(x, TS.Subtract(TS.Splat(0), x)));
                vanishing = TS.MultiplyAdd(x, TS.Splat(0), vanishing);
            }

            // A group with an infinity or a NaN has no maximum: 0 times it is a NaN, which becomes the scale, and so each of its elements.
            var half = (Half)((TS.Largest(max) + TS.Sum(vanishing)) / Largest);
            *scales = BitConverter.HalfToUInt16Bits(half);
            float scale = (float)half, inverse = scale == 0 ? 0 : 1 / scale;
            for (int i = group; i < group + KvShape.ScaleGroup; i += TS.Count)
            {
                TV number = TS.Round(TS.Multiply(TS.Load(source + i), TS.Splat(inverse)));
                TS.StoreSByte(bytes + i, TS.Max(TS.Splat(-Largest), TS.Min(TS.Splat(Largest), number)));
            }
        }
    }
}
