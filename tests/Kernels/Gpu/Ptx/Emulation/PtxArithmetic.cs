using System.Numerics;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>Instructions of a single thread that touch registers only.</summary>
internal static class PtxArithmetic
{
    public static void Execute(PtxInstruction instruction, PtxThread thread, PtxGroup group)
    {
        PtxOperand[] operands = instruction.Operands;
        if (operands[0].Kind == PtxOperandKind.Vector)
        {
            // mov.b32 {low, high}, x
            ulong bits = group.Value(operands[1], thread);
            for (int i = 0; i < operands[0].Parts.Length; i++)
                thread.Registers[(int)operands[0].Parts[i].Value] = (ushort)(bits >> (16 * i));
            return;
        }

        ulong X(int i) => group.Value(operands[i], thread);
        thread.Registers[(int)operands[0].Value] = instruction.Opcode switch
        {
            "mov" or "cvta" => X(1),
            "cvt" => Convert(instruction, X(1), operands.Length > 2 ? X(2) : 0),
            "setp" => Compare(instruction.Words[1], instruction.Type, X(1), X(2)) ? 1UL : 0UL,
            "selp" => (X(3) & 1) != 0 ? X(1) : X(2),
            "lop3" => Lop3((uint)X(1), (uint)X(2), (uint)X(3), (byte)X(4)),
            "prmt" => Kernels.Gpu.Cuda.Intrinsics.Ptx.PickBytes((uint)X(1), (uint)X(2), (uint)X(3)),
            "dp4a" => (uint)Kernels.Gpu.Cuda.Intrinsics.Ptx.DotBytes((uint)X(1), (uint)X(2), (int)X(3)),
            "clz" => (ulong)BitOperations.LeadingZeroCount((uint)X(1)),
            "shl" => instruction.Type.Cut((uint)X(2) >= (uint)instruction.Type.Bits ? 0 : (long)(X(1) << (int)X(2))),
            "shr" => instruction.Type.Cut(instruction.Type.Extend(X(1)) >> Math.Min((int)X(2), 63)),
            _ when instruction.Has("f16x2") => Packed(instruction, X(1), X(2), operands.Length > 3 ? X(3) : 0),
            _ when instruction.Type.Kind == 'f' => Floats(instruction, X(1), operands.Length > 2 ? X(2) : 0, operands.Length > 3 ? X(3) : 0),
            _ => Integers(instruction, X(1), operands.Length > 2 ? X(2) : 0, operands.Length > 3 ? X(3) : 0),
        };
    }

    private static float Single(ulong bits) => BitConverter.UInt32BitsToSingle((uint)bits);

    private static ulong Bits(float value) => BitConverter.SingleToUInt32Bits(value);

    private static ulong Floats(PtxInstruction instruction, ulong x, ulong y, ulong z)
    {
        if (instruction.Type.Bits != 32)
            throw new NotSupportedException(instruction.Text);
        (float a, float b, float c) = (Single(x), Single(y), Single(z));
        return Bits(instruction.Opcode switch
        {
            "add" => a + b,
            "sub" => a - b,
            "mul" => a * b,
            "div" => a / b,
            "fma" => MathF.FusedMultiplyAdd(a, b, c),
            "max" => float.MaxNumber(a, b),
            "min" => float.MinNumber(a, b),
            "abs" => MathF.Abs(a),
            "neg" => -a,
            "sqrt" => MathF.Sqrt(a),
            "rcp" => 1 / a,
            "rsqrt" => 1 / MathF.Sqrt(a),
            "ex2" => MathF.Pow(2, a),
            "lg2" => MathF.Log2(a),
            _ => throw new NotSupportedException(instruction.Text),
        });
    }

    private static ulong Integers(PtxInstruction instruction, ulong x, ulong y, ulong z)
    {
        PtxType type = instruction.Type;
        (long a, long b, long c) = (type.Extend(x), type.Extend(y), type.Extend(z));
        if (instruction.Has("wide"))
            return type.Kind == 's' ? (ulong)(a * b) : (ulong)a * (ulong)b;
        bool signed = type.Kind == 's';
        return type.Cut(instruction.Opcode switch
        {
            "add" => a + b,
            "sub" => a - b,
            "mul" => a * b,
            "mad" => (a * b) + c,
            "div" => signed ? a / b : (long)((ulong)a / (ulong)b),
            "rem" => signed ? a % b : (long)((ulong)a % (ulong)b),
            "min" => signed ? Math.Min(a, b) : (long)Math.Min((ulong)a, (ulong)b),
            "max" => signed ? Math.Max(a, b) : (long)Math.Max((ulong)a, (ulong)b),
            "and" => a & b,
            "or" => a | b,
            "xor" => a ^ b,
            "not" => ~a,
            "neg" => -a,
            "abs" => Math.Abs(a),
            "popc" => BitOperations.PopCount((ulong)a),
            _ => throw new NotSupportedException(instruction.Text),
        });
    }

    private static ulong Packed(PtxInstruction instruction, ulong x, ulong y, ulong z)
    {
        ulong result = 0;
        for (int shift = 0; shift < 32; shift += 16)
        {
            Half a = HalfAt(x, shift), b = HalfAt(y, shift), c = HalfAt(z, shift);
            Half value = instruction.Opcode switch
            {
                "add" => a + b,
                "sub" => a - b,
                "mul" => a * b,
                "fma" => (Half)Math.FusedMultiplyAdd((double)a, (double)b, (double)c),
                _ => throw new NotSupportedException(instruction.Text),
            };
            result |= (ulong)BitConverter.HalfToUInt16Bits(value) << shift;
        }

        return result;
    }

    private static Half HalfAt(ulong bits, int shift) => BitConverter.UInt16BitsToHalf((ushort)(bits >> shift));

    private static bool Compare(string relation, PtxType type, ulong x, ulong y)
    {
        if (type.Kind == 'f')
        {
            (float a, float b) = (Single(x), Single(y));
            bool unordered = float.IsNaN(a) || float.IsNaN(b);
            return relation switch
            {
                "eq" => a == b,
                "ne" => !unordered && a != b,
                "lt" => a < b,
                "le" => a <= b,
                "gt" => a > b,
                "ge" => a >= b,
                "equ" => unordered || a == b,
                "neu" => unordered || a != b,
                "ltu" => unordered || a < b,
                "leu" => unordered || a <= b,
                "gtu" => unordered || a > b,
                "geu" => unordered || a >= b,
                _ => throw new NotSupportedException(relation),
            };
        }

        long left = type.Extend(x), right = type.Extend(y);
        int order = type.Kind == 's' ? left.CompareTo(right) : ((ulong)left).CompareTo((ulong)right);
        return relation switch
        {
            "eq" => order == 0,
            "ne" => order != 0,
            "lt" or "lo" => order < 0,
            "le" or "ls" => order <= 0,
            "gt" or "hi" => order > 0,
            "ge" or "hs" => order >= 0,
            _ => throw new NotSupportedException(relation),
        };
    }

    private static ulong Convert(PtxInstruction instruction, ulong x, ulong y)
    {
        // cvt.rn.f16x2.f32 d, a, b puts a in the upper half.
        if (instruction.Has("f16x2"))
            return BitConverter.HalfToUInt16Bits((Half)Single(y)) | ((ulong)BitConverter.HalfToUInt16Bits((Half)Single(x)) << 16);
        if (instruction.Has("bf16x2"))
            return Bf16.FromSingle(Single(y)) | ((ulong)Bf16.FromSingle(Single(x)) << 16);
        PtxType[] types = [.. instruction.Words.Select(PtxType.TryParse).OfType<PtxType>()];
        (PtxType to, PtxType from) = (types[0], types[1]);
        return (to.Kind, from.Kind) switch
        {
            ('f', 'f') when (to.Bits, from.Bits) == (32, 16) => Bits((float)HalfAt(x, 0)),
            ('f', 'f') when (to.Bits, from.Bits) == (16, 32) => BitConverter.HalfToUInt16Bits((Half)Single(x)),
            ('f', 'f') => throw new NotSupportedException(instruction.Text),
            ('f', 's') => Bits(from.Extend(x)),
            ('f', _) => Bits((ulong)from.Extend(x)),
            (_, 'f') => to.Cut((long)Single(x)),
            _ => to.Cut(from.Extend(x)),
        };
    }

    private static ulong Lop3(uint a, uint b, uint c, byte table)
    {
        uint result = 0;
        for (int row = 0; row < 8; row++)
        {
            if ((table >> row & 1) != 0)
                result |= ((row & 4) != 0 ? a : ~a) & ((row & 2) != 0 ? b : ~b) & ((row & 1) != 0 ? c : ~c);
        }

        return result;
    }
}
