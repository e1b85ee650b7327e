using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Decodes rows of weights to float32: the same bits as <see cref="BlockCodec.Dequantize"/>, with vectors.</summary>
internal static unsafe class RowDecoder<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>Decodes a whole row.</summary>
    public static void Decode(WeightFormat format, byte* row, int columns, float* destination)
    {
        switch (format)
        {
            case WeightFormat.F32:
                Plain<F32Loader>(row, columns, destination);
                break;
            case WeightFormat.F16:
                Plain<F16Loader>(row, columns, destination);
                break;
            case WeightFormat.BF16:
                Plain<Bf16Loader>(row, columns, destination);
                break;
            case WeightFormat.Q8_0:
                Q8(row, columns, destination);
                break;
            case WeightFormat.Q4_0:
                Q4(row, columns, destination);
                break;
            case WeightFormat.Q4_K:
                Q4K(row, columns, destination);
                break;
            case WeightFormat.Q5_K:
                Q5K(row, columns, destination);
                break;
            case WeightFormat.Q6_K:
                Q6K(row, columns, destination);
                break;
            default:
                throw new NotSupportedException($"weights of format {format} cannot be decoded");
        }
    }

    [MethodImpl(Jit.Alone)]
    private static void Plain<TL>(byte* row, int columns, float* destination)
        where TL : struct, IElementLoader
    {
        int whole = columns - (columns % TS.Count);
        for (int i = 0; i < whole; i += TS.Count)
            TS.Store(destination + i, TL.Load<TS, TV>(row, i));
        if (whole < columns)
            LaneMath<TS, TV>.StorePartial(destination + whole, TL.LoadPartial<TS, TV>(row, whole, columns - whole), columns - whole);
    }

    [MethodImpl(Jit.Alone)]
    private static void Q8(byte* row, int columns, float* destination)
    {
        for (int i = 0; i < columns; i += Q8Block.Elements, row += 34)
            Scale((sbyte*)row + 2, Q8Block.Elements, TS.Splat(Half(row)), destination + i);
    }

    [MethodImpl(Jit.Alone)]
    private static void Q4(byte* row, int columns, float* destination)
    {
        sbyte* quants = stackalloc sbyte[Q4Block.Elements];
        for (int i = 0; i < columns; i += Q4Block.Elements, row += 18)
        {
            Vector128<byte> packed = Vector128.Load(row + 2);
            ((packed & Vector128.Create((byte)0x0F)).AsSByte() - Vector128.Create((sbyte)8)).Store(quants);
            ((packed >>> 4).AsSByte() - Vector128.Create((sbyte)8)).Store(quants + 16);
            Scale(quants, Q4Block.Elements, TS.Splat(Half(row)), destination + i);
        }
    }

    [MethodImpl(Jit.Alone)]
    private static void Q4K(byte* row, int columns, float* destination)
    {
        sbyte* quants = stackalloc sbyte[KBlockHead.SubElements];
        for (int i = 0; i < columns; i += Q4KBlock.Elements, row += 144)
        {
            for (int sub = 0; sub < SubScales.Count; sub++)
            {
                Nibbles(row + KBlockHead.Bytes + (sub / 2 * KBlockHead.SubElements), sub % 2).Store((byte*)quants);
                ScaleAndSubtract(quants, row, sub, destination + i + (sub * KBlockHead.SubElements));
            }
        }
    }

    [MethodImpl(Jit.Alone)]
    private static void Q5K(byte* row, int columns, float* destination)
    {
        sbyte* quants = stackalloc sbyte[KBlockHead.SubElements];
        for (int i = 0; i < columns; i += Q5KBlock.Elements, row += 176)
        {
            Vector256<byte> fifth = Vector256.Load(row + KBlockHead.Bytes);
            byte* nibbles = row + KBlockHead.Bytes + KBlockHead.SubElements;
            for (int sub = 0; sub < SubScales.Count; sub++)
            {
                Vector256<byte> upper = ((fifth >>> sub) & Vector256.Create((byte)1)) << 4;
                (Nibbles(nibbles + (sub / 2 * KBlockHead.SubElements), sub % 2) | upper).Store((byte*)quants);
                ScaleAndSubtract(quants, row, sub, destination + i + (sub * KBlockHead.SubElements));
            }
        }
    }

    [MethodImpl(Jit.Alone)]
    private static void Q6K(byte* row, int columns, float* destination)
    {
        const int Run = 32, Sub = 16, UpperBits = 128, Scales = 192, BlockScale = 208;
        sbyte* quants = stackalloc sbyte[Run];
        for (int i = 0; i < columns; i += Q6KBlock.Elements, row += 210)
        {
            float d = Half(row + BlockScale);
            for (int run = 0; run < Q6KBlock.Elements / Run; run++)
            {
                int half = run / 4, place = run % 4;
                Vector256<byte> nibbles = Nibbles(row + (half * 64) + (place % 2 * Run), place / 2);
                Vector256<byte> upper = ((Vector256.Load(row + UpperBits + (half * Run)) >>> (2 * place)) & Vector256.Create((byte)3)) << 4;
                ((nibbles | upper).AsSByte() - Vector256.Create((sbyte)32)).Store(quants);
                var scales = (sbyte*)row + Scales + (2 * run);
                float* to = destination + i + (run * Run);
                Scale(quants, Sub, TS.Splat(d * scales[0]), to);
                Scale(quants + Sub, Sub, TS.Splat(d * scales[1]), to + Sub);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Half(byte* bits) => (float)Unsafe.ReadUnaligned<Half>(bits);

    // The low or high nibbles of 32 bytes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Nibbles(byte* packed, int high) =>
        (Vector256.Load(packed) >>> (4 * high)) & Vector256.Create((byte)0x0F);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale(sbyte* quants, int count, TV scale, float* destination)
    {
        for (int i = 0; i < count; i += TS.Count)
            TS.Store(destination + i, TS.Multiply(TS.LoadSByte(quants + i), scale));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScaleAndSubtract(sbyte* quants, byte* block, int sub, float* destination)
    {
        (float scale, float min) = KBlockHead.Read(new ReadOnlySpan<byte>(block, KBlockHead.Bytes), sub);
        TV scales = TS.Splat(scale), mins = TS.Splat(min);
        for (int i = 0; i < KBlockHead.SubElements; i += TS.Count)
            TS.Store(destination + i, TS.Subtract(TS.Multiply(TS.LoadSByte(quants + i), scales), mins));
    }
}
