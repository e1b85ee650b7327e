using System.Buffers.Binary;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>
/// Instructions that the lanes of a warp execute together, from the fragment layouts of the PTX ISA ("Matrix Fragments for mma.m16n8k16",
/// "ldmatrix"). Sums of a matrix product are formed in double precision and rounded once.
/// </summary>
internal static class PtxWarp
{
    public static void Execute(PtxInstruction instruction, Span<PtxThread> warp, PtxGroup group)
    {
        switch (instruction.Opcode)
        {
            case "bar":
                break;
            case "shfl":
                Shuffle(instruction, warp, group);
                break;
            case "mma":
                Multiply(instruction, warp, group);
                break;
            default:
                LoadMatrices(instruction, warp, group);
                break;
        }
    }

    private static void Shuffle(PtxInstruction instruction, Span<PtxThread> warp, PtxGroup group)
    {
        var values = new ulong[warp.Length];
        for (int lane = 0; lane < warp.Length; lane++)
            values[lane] = group.Value(instruction.Operands[1], warp[lane]);
        for (int lane = 0; lane < warp.Length; lane++)
        {
            int operand = (int)group.Value(instruction.Operands[2], warp[lane]);
            int source = instruction.Words switch
            {
                _ when instruction.Has("bfly") => lane ^ operand,
                _ when instruction.Has("idx") => operand % warp.Length,
                _ when instruction.Has("down") => lane + operand,
                _ => lane - operand,
            };
            warp[lane].Registers[(int)instruction.Operands[0].Value] = source >= 0 && source < warp.Length ? values[source] : values[lane];
        }
    }

    private static void Multiply(PtxInstruction instruction, Span<PtxThread> warp, PtxGroup group)
    {
        if (!instruction.Has("m16n8k16") || !instruction.Has("row") || !instruction.Has("col"))
            throw new NotSupportedException(instruction.Text);
        Func<ushort, float> decode = instruction.Has("bf16") ? Bf16.ToSingle : bits => (float)BitConverter.UInt16BitsToHalf(bits);
        var a = new float[16, 16];
        var b = new float[16, 8];
        for (int lane = 0; lane < 32; lane++)
        {
            for (int i = 0; i < 8; i++)
            {
                // a0,a1: row g; a2,a3: row g + 8; a4..a7 the same 8 columns on.
                int row = (lane / 4) + (i / 2 % 2 * 8), column = (lane % 4 * 2) + (i % 2) + (i / 4 * 8);
                a[row, column] = decode(HalfOf(instruction.Operands[1].Parts[i / 2], i % 2, warp[lane], group));
            }

            for (int i = 0; i < 4; i++)
            {
                int row = (lane % 4 * 2) + (i % 2) + (i / 2 * 8), column = lane / 4;
                b[row, column] = decode(HalfOf(instruction.Operands[2].Parts[i / 2], i % 2, warp[lane], group));
            }
        }

        for (int lane = 0; lane < 32; lane++)
        {
            for (int i = 0; i < 4; i++)
            {
                int row = (lane / 4) + (i / 2 * 8), column = (lane % 4 * 2) + (i % 2);
                double sum = BitConverter.UInt32BitsToSingle((uint)group.Value(instruction.Operands[3].Parts[i], warp[lane]));
                for (int k = 0; k < 16; k++)
                    sum += (double)a[row, k] * b[k, column];
                warp[lane].Registers[(int)instruction.Operands[0].Parts[i].Value] = BitConverter.SingleToUInt32Bits((float)sum);
            }
        }
    }

    private static ushort HalfOf(PtxOperand register, int half, PtxThread thread, PtxGroup group) =>
        (ushort)(group.Value(register, thread) >> (16 * half));

    private static void LoadMatrices(PtxInstruction instruction, Span<PtxThread> warp, PtxGroup group)
    {
        PtxOperand[] targets = instruction.Operands[0].Parts;
        var elements = new ushort[targets.Length, 8, 8];
        for (int matrix = 0; matrix < targets.Length; matrix++)
        {
            for (int row = 0; row < 8; row++)
            {
                ReadOnlySpan<byte> bytes = group.Bytes(instruction, instruction.Operands[1], warp[(8 * matrix) + row], 16);
                for (int column = 0; column < 8; column++)
                    elements[matrix, row, column] = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * column)..]);
            }
        }

        bool transposed = instruction.Has("trans");
        for (int lane = 0; lane < 32; lane++)
        {
            for (int matrix = 0; matrix < targets.Length; matrix++)
            {
                int g = lane / 4, t = lane % 4 * 2;
                uint low = transposed ? elements[matrix, t, g] : elements[matrix, g, t];
                uint high = transposed ? elements[matrix, t + 1, g] : elements[matrix, g, t + 1];
                warp[lane].Registers[(int)targets[matrix].Value] = low | (high << 16);
            }
        }
    }
}
