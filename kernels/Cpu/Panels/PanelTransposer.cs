using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Turns a block of 16 rows of 32 columns around: small squares are transposed in registers, by zipping rows pair by pair.</summary>
internal static unsafe class PanelTransposer
{
    private const int WordSquare = 8, FloatSquare = 4;

    /// <summary>Elements of 16 bits.</summary>
    /// <param name="rows">The 16 rows.</param>
    /// <param name="offset">Bytes from there to the block.</param>
    /// <param name="to">[column][row].</param>
    [MethodImpl(Jit.Alone)]
    public static void Words(byte** rows, long offset, ushort* to)
    {
        for (int row = 0; row < Panel.Outputs; row += WordSquare)
        {
            for (int column = 0; column < Panel.BlockColumns; column += WordSquare)
            {
                long at = offset + (column * sizeof(ushort));
                Vector128<ushort> a = Load(rows[row] + at), b = Load(rows[row + 1] + at), c = Load(rows[row + 2] + at), d = Load(rows[row + 3] + at);
                Vector128<ushort> e = Load(rows[row + 4] + at), f = Load(rows[row + 5] + at), g = Load(rows[row + 6] + at), h = Load(rows[row + 7] + at);

                // A zip of rows r and r + 4, then of the results, and again, puts each element of a column beside the next row's.
                (a, e, b, f, c, g, d, h) = (Low(a, e), High(a, e), Low(b, f), High(b, f), Low(c, g), High(c, g), Low(d, h), High(d, h));
                (a, c, e, g, b, d, f, h) = (Low(a, c), High(a, c), Low(e, g), High(e, g), Low(b, d), High(b, d), Low(f, h), High(f, h));
                ushort* square = to + (column * Panel.Outputs) + row;
                Low(a, b).Store(square);
                High(a, b).Store(square + Panel.Outputs);
                Low(c, d).Store(square + (2 * Panel.Outputs));
                High(c, d).Store(square + (3 * Panel.Outputs));
                Low(e, f).Store(square + (4 * Panel.Outputs));
                High(e, f).Store(square + (5 * Panel.Outputs));
                Low(g, h).Store(square + (6 * Panel.Outputs));
                High(g, h).Store(square + (7 * Panel.Outputs));
            }
        }
    }

    /// <summary>Elements of 32 bits; the parameters are those of <see cref="Words"/>.</summary>
    [MethodImpl(Jit.Alone)]
    public static void Floats(byte** rows, long offset, float* to)
    {
        for (int row = 0; row < Panel.Outputs; row += FloatSquare)
        {
            for (int column = 0; column < Panel.BlockColumns; column += FloatSquare)
            {
                long at = offset + (column * sizeof(float));
                Vector128<float> a = Vector128.Load((float*)(rows[row] + at)), b = Vector128.Load((float*)(rows[row + 1] + at));
                Vector128<float> c = Vector128.Load((float*)(rows[row + 2] + at)), d = Vector128.Load((float*)(rows[row + 3] + at));
                (a, b, c, d) = (Low(a, c), High(a, c), Low(b, d), High(b, d));
                float* square = to + (column * Panel.Outputs) + row;
                Low(a, c).Store(square);
                High(a, c).Store(square + Panel.Outputs);
                Low(b, d).Store(square + (2 * Panel.Outputs));
                High(b, d).Store(square + (3 * Panel.Outputs));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> Load(byte* source) => Vector128.Load((ushort*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> Low(Vector128<ushort> a, Vector128<ushort> b)
    {
        if (Sse2.IsSupported)
            return Sse2.UnpackLow(a, b);
        if (AdvSimd.Arm64.IsSupported)
            return AdvSimd.Arm64.ZipLow(a, b);
        return Alternate(Vector128.Shuffle(a, Vector128.Create((ushort)0, 0, 1, 1, 2, 2, 3, 3)), Vector128.Shuffle(b, Vector128.Create((ushort)0, 0, 1, 1, 2, 2, 3, 3)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> High(Vector128<ushort> a, Vector128<ushort> b)
    {
        if (Sse2.IsSupported)
            return Sse2.UnpackHigh(a, b);
        if (AdvSimd.Arm64.IsSupported)
            return AdvSimd.Arm64.ZipHigh(a, b);
        return Alternate(Vector128.Shuffle(a, Vector128.Create((ushort)4, 4, 5, 5, 6, 6, 7, 7)), Vector128.Shuffle(b, Vector128.Create((ushort)4, 4, 5, 5, 6, 6, 7, 7)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b)
    {
        if (Sse.IsSupported)
            return Sse.UnpackLow(a, b);
        if (AdvSimd.Arm64.IsSupported)
            return AdvSimd.Arm64.ZipLow(a, b);
        return Alternate(Vector128.Shuffle(a, Vector128.Create(0, 0, 1, 1)), Vector128.Shuffle(b, Vector128.Create(0, 0, 1, 1)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b)
    {
        if (Sse.IsSupported)
            return Sse.UnpackHigh(a, b);
        if (AdvSimd.Arm64.IsSupported)
            return AdvSimd.Arm64.ZipHigh(a, b);
        return Alternate(Vector128.Shuffle(a, Vector128.Create(2, 2, 3, 3)), Vector128.Shuffle(b, Vector128.Create(2, 2, 3, 3)));
    }

    private static Vector128<ushort> Alternate(Vector128<ushort> even, Vector128<ushort> odd) =>
        Vector128.ConditionalSelect(Vector128.Create(0x0000FFFFu).AsUInt16(), even, odd);

    private static Vector128<float> Alternate(Vector128<float> even, Vector128<float> odd) =>
        Vector128.ConditionalSelect(Vector128.Create(0x00000000FFFFFFFFul).AsSingle(), even, odd);
}
