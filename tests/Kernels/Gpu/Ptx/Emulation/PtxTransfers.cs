using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>Loads, stores and asynchronous copies.</summary>
internal static class PtxTransfers
{
    public static void Execute(PtxInstruction instruction, PtxThread thread, PtxGroup group)
    {
        switch (instruction.Opcode)
        {
            case "ld":
                Load(instruction, thread, group);
                break;
            case "st":
                Store(instruction, thread, group);
                break;
            default:
                Copy(instruction, thread, group);
                break;
        }
    }

    private static void Load(PtxInstruction instruction, PtxThread thread, PtxGroup group)
    {
        PtxOperand[] targets = Elements(instruction.Operands[0]);
        int size = instruction.Type.Bytes;
        ReadOnlySpan<byte> bytes = group.Bytes(instruction, instruction.Operands[1], thread, size * targets.Length);
        for (int i = 0; i < targets.Length; i++)
            thread.Registers[(int)targets[i].Value] = instruction.Type.Cut(instruction.Type.Extend(Read(bytes[(i * size)..], size)));
    }

    private static void Store(PtxInstruction instruction, PtxThread thread, PtxGroup group)
    {
        PtxOperand[] sources = Elements(instruction.Operands[1]);
        int size = instruction.Type.Bytes;
        Span<byte> bytes = group.Bytes(instruction, instruction.Operands[0], thread, size * sources.Length);
        for (int i = 0; i < sources.Length; i++)
            Write(bytes[(i * size)..], size, group.Value(sources[i], thread));
    }

    private static void Copy(PtxInstruction instruction, PtxThread thread, PtxGroup group)
    {
        if (instruction.Has("commit_group"))
        {
            thread.CommitCopies();
        }
        else if (instruction.Has("wait_group"))
        {
            thread.WaitForCopies((int)instruction.Operands[0].Value, group.AllShared);
        }
        else
        {
            const int Bytes = 16;
            int present = instruction.Operands.Length > 3 ? (int)group.Value(instruction.Operands[3], thread) : Bytes;
            uint shared = (uint)(group.Value(instruction.Operands[0].Parts[0], thread) + instruction.Operands[0].Value);
            var copy = new byte[Bytes];
            if (present > 0)
                group.Bytes(instruction, instruction.Operands[1], thread, Bytes)[..present].CopyTo(copy);

            // Until it arrives no one may rely on what is there.
            group.Shared(shared, Bytes).Fill(0xFF);
            thread.BeginCopy(shared, copy);
        }
    }

    private static PtxOperand[] Elements(PtxOperand operand) => operand.Kind == PtxOperandKind.Vector ? operand.Parts : [operand];

    private static ulong Read(ReadOnlySpan<byte> bytes, int size) => size switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
    };

    private static void Write(Span<byte> bytes, int size, ulong value)
    {
        switch (size)
        {
            case 1:
                bytes[0] = (byte)value;
                break;
            case 2:
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value);
                break;
            case 4:
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)value);
                break;
            default:
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
                break;
        }
    }
}
