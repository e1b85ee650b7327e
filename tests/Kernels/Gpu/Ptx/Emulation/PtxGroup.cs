using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>
/// Runs a kernel's PTX on the host, group by group. Threads run one after the other from one meeting point to the next (a barrier, or an
/// instruction of a whole warp), asynchronous copies arrive as late as they may, and memory starts as NaNs: a missing barrier, wait or store
/// shows in the results.
/// </summary>
internal sealed class PtxGroup
{
    private readonly PtxProgram _program;
    private readonly PtxMemory _memory;
    private readonly byte[] _parameters;
    private readonly byte[] _shared;
    private readonly PtxThread[] _threads;
    private readonly (int X, int Y, int Z) _group;
    private readonly (int X, int Y, int Z) _grid;

    private PtxGroup(PtxProgram program, PtxMemory memory, byte[] parameters, int threads, (int X, int Y, int Z) group, (int X, int Y, int Z) grid)
    {
        (_program, _memory, _parameters, _group, _grid) = (program, memory, parameters, group, grid);
        _shared = new byte[program.SharedBytes];
        Array.Fill(_shared, (byte)0xFF);
        _threads = [.. Enumerable.Range(0, threads).Select(index => new PtxThread(index, program.RegisterCount))];
    }

    /// <summary>Launches a kernel that takes one struct.</summary>
    public static void Launch<TArgs>(PtxProgram program, PtxMemory memory, (int X, int Y, int Z) grid, int threads, TArgs arguments)
        where TArgs : struct
    {
        byte[] parameters = new byte[Marshal.SizeOf<TArgs>()];
        MemoryMarshal.Write(parameters, in arguments);
        for (int z = 0; z < grid.Z; z++)
        {
            for (int y = 0; y < grid.Y; y++)
            {
                for (int x = 0; x < grid.X; x++)
                    new PtxGroup(program, memory, parameters, threads, (x, y, z), grid).Run();
            }
        }
    }

    private void Run()
    {
        while (true)
        {
            for (int first = 0; first < _threads.Length; first += 32)
                RunWarp(_threads.AsSpan(first, Math.Min(32, _threads.Length - first)));
            if (_threads.All(thread => thread.Stop == PtxStop.Returned))
                return;
            if (_threads.Any(thread => thread.Stop == PtxStop.Returned))
                throw new InvalidOperationException("some threads returned while others wait at a barrier");
            foreach (PtxThread thread in _threads)
                thread.Stop = null;
        }
    }

    private void RunWarp(Span<PtxThread> warp)
    {
        while (true)
        {
            foreach (PtxThread thread in warp)
            {
                while (thread.Stop is null)
                    Step(thread);
            }

            if (warp[0].Stop != PtxStop.Warp)
                break;
            foreach (PtxThread thread in warp)
            {
                if (thread.Stop != PtxStop.Warp || thread.Next != warp[0].Next)
                    throw new InvalidOperationException("lanes of a warp are not at the same instruction");
            }

            PtxInstruction instruction = _program.Instructions[warp[0].Next];
            PtxWarp.Execute(instruction, warp, this);
            foreach (PtxThread thread in warp)
            {
                thread.Next++;
                thread.Stop = null;
            }
        }
    }

    private void Step(PtxThread thread)
    {
        PtxInstruction instruction = _program.Instructions[thread.Next];
        if (instruction.Guard >= 0 && (thread.Registers[instruction.Guard] & 1) == (instruction.GuardNegated ? 1UL : 0UL))
        {
            thread.Next++;
            return;
        }

        switch (instruction.Opcode)
        {
            case "ret":
                thread.Stop = PtxStop.Returned;
                return;
            case "bra":
                thread.Next = instruction.Target;
                return;
            case "shfl" or "mma" or "ldmatrix":
                thread.Stop = PtxStop.Warp;
                return;
            case "bar" when instruction.Has("warp"):
                thread.Stop = PtxStop.Warp;
                return;
            case "bar":
                thread.Stop = PtxStop.Group;
                break;
            case "ld" or "st" or "cp":
                PtxTransfers.Execute(instruction, thread, this);
                break;
            default:
                PtxArithmetic.Execute(instruction, thread, this);
                break;
        }

        thread.Next++;
    }

    /// <summary>An operand's bits for a thread.</summary>
    public ulong Value(PtxOperand operand, PtxThread thread) => operand.Kind switch
    {
        PtxOperandKind.Register => thread.Registers[(int)operand.Value],
        PtxOperandKind.Immediate or PtxOperandKind.Symbol => operand.Value,
        PtxOperandKind.Special => (ulong)(uint)Special(operand.Name, thread),
        _ => throw new NotSupportedException($"no value: {operand.Name}"),
    };

    /// <summary>Bytes that an instruction reads or writes.</summary>
    public Span<byte> Bytes(PtxInstruction instruction, PtxOperand operand, PtxThread thread, int bytes)
    {
        if (instruction.Has("param"))
            return _parameters.AsSpan((int)operand.Value, bytes);
        ulong address = Value(operand.Parts[0], thread) + operand.Value;
        return instruction.Opcode == "ldmatrix" || (instruction.Has("shared") && instruction.Opcode != "cp")
            ? Shared((uint)address, bytes)
            : _memory.At(address, bytes);
    }

    /// <summary>Bytes of shared memory, aligned to their number.</summary>
    public Span<byte> Shared(uint address, int bytes)
    {
        if (address % bytes != 0)
            throw new InvalidOperationException($"{bytes} bytes at {address:X} of shared memory are misaligned");
        return _shared.AsSpan((int)address, bytes);
    }

    public Span<byte> AllShared => _shared;

    private int Special(string name, PtxThread thread) => name switch
    {
        "%tid.x" => thread.Index,
        "%laneid" => thread.Index % 32,
        "%ntid.x" => _threads.Length,
        "%ctaid.x" => _group.X,
        "%ctaid.y" => _group.Y,
        "%ctaid.z" => _group.Z,
        "%nctaid.x" => _grid.X,
        "%nctaid.y" => _grid.Y,
        "%nctaid.z" => _grid.Z,
        "%tid.y" or "%tid.z" => 0,
        _ => 1,
    };
}
